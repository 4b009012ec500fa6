import random
from itertools import takewhile

import pytest
import torch

from sampler.cache import WORTH_COPYING, PrefixCache, common_length
from sampler.kv import KV, PAGE, LayerShape

SHAPE = LayerShape(heads=1, head_dim=1, dtype=torch.float32, device=torch.device("cpu"))
PAGE_BYTES = PAGE * SHAPE.bytes_per_token


def new_kv():
    return KV([SHAPE])


def cache_of(*texts, pages=100):
    """Return a cache that keeps `texts`, the last one used last."""
    cache = PrefixCache(new_kv, pages * PAGE_BYTES)
    for ids in texts:
        encode(cache, ids)
    return cache


def acquire(cache, ids):
    """Acquire a text and encode what of `ids` is missing."""
    kv = cache.acquire(ids)
    common = kv.length
    assert kv.ids == list(ids[:common])
    kv.reserve(len(ids) - common)
    # A token's key is the token itself, so that a mix-up of texts shows.
    kv.keys[0][0, 0, common : len(ids), 0] = torch.tensor(ids[common:], dtype=torch.float32)
    kv.extend(ids[common:], torch.zeros(1))
    return kv, common


def encode(cache, ids):
    kv, common = acquire(cache, ids)
    cache.release(kv)
    return common


def keys_of(kv):
    return kv.keys[0][0, 0, : kv.length, 0].tolist()


def text(start, length):
    return list(range(start, start + length))


A = text(1000, 100)
B = text(2000, 100)


def walked(a, b):
    """Return how many ids two texts have in common, one by one."""
    pairs = zip(a, b, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def test_equal_beginnings_are_measured_as_by_walking_along():
    rng = random.Random(2)
    for _ in range(2000):
        a = [rng.randrange(3) for _ in range(rng.randrange(40))]
        b = a[: rng.randrange(len(a) + 1)] + [rng.randrange(3) for _ in range(rng.randrange(20))]
        assert common_length(a, b) == walked(a, b)
        assert common_length(b, a) == walked(a, b)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (A, 99),  # the last token is encoded again: what it predicts is not kept
        ([*A, 1], 100),
        (A[:60], 59),
        ([*A[:60], 1, 2], 60),
        (A[:50], 49),
        ([A[0], 1], 0),
        ([1, *A], 0),
        ([A[0]], 0),
        (B, 0),
    ],
)
def test_what_a_text_has_in_common_with_a_kept_one_is_found(asked, found):
    assert cache_of(A).acquire(asked).length == found


def test_a_text_of_which_half_is_wanted_is_taken_itself():
    cache = cache_of()
    kept, _ = acquire(cache, A)
    cache.release(kept)
    assert cache.acquire([*A[:50], 1]) is kept
    assert (kept.length, keys_of(kept), cache.nbytes, cache.lent) == (50, A[:50], 0, 1)


def test_of_a_text_of_which_less_than_half_is_wanted_the_beginning_is_copied():
    cache = cache_of(A)
    kv = cache.acquire([*A[:49], 1])
    assert (kv.length, cache.nbytes, cache.lent) == (49, PAGE_BYTES, 1)
    assert keys_of(kv) == A[:49]
    assert cache.acquire(A).length == 99


@pytest.mark.parametrize(
    ("common", "copied"), [(WORTH_COPYING - 1, 0), (WORTH_COPYING, WORTH_COPYING)]
)
def test_a_short_beginning_is_encoded_rather_than_copied(common, copied):
    cache = cache_of(A)
    assert cache.acquire([*A[:common], 1]).length == copied


def test_a_text_on_loan_is_copied_and_left_as_it_is():
    cache = cache_of(A)
    first, _ = acquire(cache, [*A, 1])
    second, common = acquire(cache, [*A[:80], 2])
    assert common == 80
    assert second is not first
    assert keys_of(first) == first.ids == [*A, 1]
    assert keys_of(second) == second.ids == [*A[:80], 2]
    second.keys[0].fill_(-1)
    assert keys_of(first) == first.ids


def test_two_requests_for_the_same_text_at_once_get_one_each():
    cache = cache_of(A)
    texts = [cache.acquire(A) for _ in range(3)]
    assert len({id(kv) for kv in texts}) == len({kv.keys[0].data_ptr() for kv in texts}) == 3
    assert [kv.length for kv in texts] == [99, 99, 99]
    assert cache.lent == 3


def test_the_longest_common_beginning_wins():
    cache = cache_of()
    texts = [acquire(cache, ids)[0] for ids in (A[:60], [*A[:80], 7], [*A[:70], 8])]
    for kv in texts:
        cache.release(kv)
    assert cache.acquire([*A, 1]).length == 80


def test_of_equally_good_texts_a_kept_one_is_taken_and_none_copied():
    cache = cache_of(A)
    first = cache.acquire([*A, 1])
    cache.release(encoded_elsewhere := new_kv_of(A))
    assert cache.acquire([*A, 2]) is encoded_elsewhere is not first


def new_kv_of(ids):
    kv = new_kv()
    kv.extend(ids, torch.zeros(1))
    return kv


def test_two_documents_are_both_kept_while_one_jumps_between_them():
    cache = cache_of(A, B)
    for step in range(5):
        assert encode(cache, [*A, *text(1, step + 1)]) == 100 + step
        assert encode(cache, [*B, *text(1, step + 1)]) == 100 + step


def test_what_begins_another_kept_text_is_not_kept_twice():
    cache = cache_of(A)
    first, _ = acquire(cache, [*A, 1])
    second, _ = acquire(cache, [*A, 1, 2])
    cache.release(first)
    cache.release(second)
    assert cache.nbytes == PAGE_BYTES
    assert cache.acquire([*A, 1, 2, 3]).length == 102


def test_an_empty_text_is_not_kept():
    cache = cache_of()
    cache.release(cache.acquire(A))
    assert (cache.nbytes, cache.lent) == (0, 0)


def test_a_dropped_text_serves_nobody_any_more():
    cache = cache_of(A)
    kv = cache.acquire([*A, 1])
    cache.drop(kv)
    assert (cache.nbytes, cache.lent) == (0, 0)
    assert cache.acquire([*A, 1]).length == 0


def test_the_least_recently_used_text_goes_first():
    texts = [text(1000 * n, 50) for n in range(1, 5)]
    cache = cache_of(*texts[:3], pages=3)
    encode(cache, texts[0])  # used again: now the second is the oldest
    encode(cache, texts[3])
    assert cache.nbytes == 3 * PAGE_BYTES
    assert cache.acquire(texts[1]).length == 0
    assert [cache.acquire(texts[n]).length for n in (0, 2, 3)] == [49, 49, 49]


def test_a_text_beyond_the_budget_is_not_kept():
    cache = cache_of(A, pages=2)
    encode(cache, text(5000, 3 * PAGE))
    assert cache.nbytes <= cache.budget
    assert cache.acquire(text(5000, 3 * PAGE)).length == 0


def test_without_a_budget_nothing_is_kept():
    cache = cache_of(A, B, pages=0)
    assert cache.nbytes == 0
    assert cache.acquire(A).length == 0


def test_texts_on_loan_do_not_count_until_they_are_back():
    cache = cache_of(pages=2)
    lent = [acquire(cache, text(1000 * n, 50))[0] for n in range(1, 6)]
    assert (cache.nbytes, cache.lent) == (0, 5)
    for count, kv in enumerate(lent, 1):
        cache.release(kv)
        assert (cache.nbytes, cache.lent) == (min(count, 2) * PAGE_BYTES, 5 - count)


class Expected:
    """The rules once more, over plain lists of ids that fit one page each."""

    def __init__(self, pages):
        self.pages, self.kept, self.lent = pages, [], []

    def found(self, ids):
        def common(place):
            return min(walked(place[1], ids), len(ids) - 1)

        lent = [(None, other) for other in self.lent]
        places = [*lent, *enumerate(self.kept)]
        index, best = max(places[::-1], key=common, default=(None, []))
        shared = max(common((index, best)), 0)
        if shared and index is not None and 2 * shared >= len(best):
            del self.kept[index]
            return shared
        return shared if shared >= WORTH_COPYING else 0

    def release(self, ids):
        self.lent.remove(ids)
        self.kept = [other for other in self.kept if ids[: len(other)] != other]
        self.kept = [*self.kept, ids][-self.pages :] if self.pages else []


def random_text(rng, texts):
    """Return a text as editing makes them: an older one with its end changed, or a new one."""
    if not texts or rng.random() < 0.1:
        return [rng.randrange(1000) for _ in range(rng.randrange(1, 80))]
    old = rng.choice(texts)
    cut = rng.choice([len(old), len(old) - 1, rng.randrange(len(old))])
    typed = [rng.randrange(1000) for _ in range(rng.choice([0, 1, 5, 60]))]
    return [*old[:cut], *typed][:PAGE] or [1]


@pytest.mark.parametrize("pages", [0, 1, 3, 8])
def test_random_requests_get_the_texts_that_the_rules_say(pages):
    rng = random.Random(pages)
    cache, expected = PrefixCache(new_kv, pages * PAGE_BYTES), Expected(pages)
    texts, lent = [], []
    for _ in range(400):
        if rng.random() < 0.55 or not lent:
            ids = random_text(rng, texts)
            # Equal texts on loan at once would leave open which of the two a release means.
            if any(other == ids for other, _ in lent):
                continue
            kv, common = acquire(cache, ids)
            assert common == expected.found(ids)
            expected.lent.append(ids)
            lent.append((ids, kv))
            texts = [*texts, ids][-8:]
        else:
            ids, kv = lent.pop(rng.randrange(len(lent)))
            if rng.random() < 0.1:
                cache.drop(kv)
                expected.lent.remove(ids)
            else:
                cache.release(kv)
                expected.release(ids)
        assert cache.lent == len(lent)
        assert cache.nbytes <= cache.budget
        assert all(kv.ids == keys_of(kv) == ids for ids, kv in lent)
        buffers = [kv.keys[0].data_ptr() for _, kv in lent]
        assert len(set(buffers)) == len(buffers)
