"""Count the words of text files and print the most common ones."""

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Report:
    """What was found in one file."""

    path: Path
    lines: int
    words: Counter[str]

    @property
    def total(self) -> int:
        """Return the number of words."""
        return sum(self.words.values())


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without the white space around them."""
    lines = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            lines.append(line.strip())
    return lines


def count_words(lines: list[str]) -> Counter[str]:
    """Count how often each word occurs, in lower case."""
    counts: Counter[str] = Counter()
    for line in lines:
        for word in re.findall(r"\w+", line):
            counts[word.lower()] += 1
    return counts


def longest(words: list[str]) -> str:
    """Return the longest of the words, or an empty string."""
    best = ""
    for word in words:
        if len(word) > len(best):
            best = word
    return best


def main() -> None:
    """Read the arguments, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--top", type=int, default=10)
    args = parser.parse_args()
    for path in args.files:
        lines = read_lines(path)
        report = Report(path, len(lines), count_words(lines))
        print(f"{path}: {report.lines} lines, {report.total} words")
        for word, count in report.words.most_common(args.top):
            print(f"{count:6} {word}")


if __name__ == "__main__":
    main()
