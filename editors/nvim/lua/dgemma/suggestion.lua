--- What of a suggestion is left where part of it was typed, and its next word or line. Text only.

local M = {}

---@class dgemma.Candidate
---@field raw lsp.InlineCompletionItem As the server sent it, for what it is told of it.
---@field text string What goes in at the cursor.
---@field typed string What of the server's text stood before the cursor already.
---@field replaces string The text behind the cursor that it takes the place of.

---What is left of `text` after `typed` was typed into it and something closed behind the cursor.
---
---`after` is the line behind the cursor now, `after_then` when the text was suggested: an editor
---that adds the closing bracket has put the end of the suggestion there already.
---@param text string
---@param typed string
---@param after string
---@param after_then string
---@return string? left Nil where something else was typed.
---@return integer? closed How many bytes behind the cursor were added.
function M.left(text, typed, after, after_then)
  if not vim.startswith(text, typed) or not vim.endswith(after, after_then) then
    return nil
  end
  local added = after:sub(1, #after - #after_then)
  local left = text:sub(#typed + 1)
  if not vim.endswith(left, added) then
    return nil
  end
  return left:sub(1, #left - #added), #added
end

---The next word with the blanks before it, or a run of other signs.
---@param text string
---@return string
function M.word(text)
  local word = vim.fn.matchstr(text, [[^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)]])
  return word ~= '' and word or text
end

---The next line, with the line ends before it.
---@param text string
---@return string
function M.line(text)
  return text:match('^[\r\n]*[^\n]*') --[[@as string]]
end

---Turn an item of the server into text for the cursor; nil where it does not fit the line there.
---@param item lsp.InlineCompletionItem
---@param line string The line of the cursor.
---@param col integer The cursor, in bytes.
---@param start_col integer Where the item's range starts, in bytes.
---@param end_col integer
---@return dgemma.Candidate?
function M.candidate(item, line, col, start_col, end_col)
  local text = item.insertText
  local typed = line:sub(start_col + 1, col)
  if type(text) ~= 'string' or start_col > col or end_col < col then
    return nil
  end
  text = text:gsub('\r\n', '\n')
  if not vim.startswith(text, typed) or #text == #typed then
    return nil
  end
  local replaces = line:sub(col + 1, end_col)
  return { raw = item, text = text:sub(#typed + 1), typed = typed, replaces = replaces }
end

return M
