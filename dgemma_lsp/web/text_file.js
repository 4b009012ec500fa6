/**
 * A file a person hands in -> its text, or one line that says why it cannot be read. It shows
 * nothing and sends nothing.
 *
 * @typedef {{name: string, text: string, language: string, first_line?: number}} Attachment
 */

export const MOST_BYTES = 1_500_000; // of a question with all that goes with it: PROTOCOL.md

// What the daemon takes for no text either.
const BINARY = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]/;

/**
 * Read a file as text; throws an Error in a line for the person where it is too long, or no text.
 * @param {File} file
 * @returns {Promise<Attachment>}
 */
export async function read(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} has ${size(file.size)}; a message takes ${size(MOST_BYTES)} at most`);
  let bytes;
  try {
    bytes = await file.arrayBuffer();
  } catch (error) {
    throw new Error(`${file.name} cannot be read: a folder, or gone`);
  }
  return { name: file.name, text: decoded(file.name, bytes), language: language(file.name) };
}

/**
 * @param {string} name
 * @param {BufferSource} bytes
 * @returns {string}
 */
export function decoded(name, bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error(`${name} is no text in UTF-8`);
  }
  if (BINARY.test(text)) throw new Error(`${name} is no text`);
  return text;
}

/**
 * What stands behind a fence in Markdown for a file of this name.
 * @param {string} name
 * @returns {string}
 */
export function language(name) {
  return /\.([a-z0-9]{1,12})$/i.exec(name)?.[1].toLowerCase() ?? "";
}

/**
 * A number of bytes as a person reads it.
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/**
 * How many bytes a text has in UTF-8.
 * @param {string} text
 * @returns {number}
 */
export function bytes(text) {
  return new TextEncoder().encode(text).length;
}
