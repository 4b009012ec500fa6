--- Asks the server for suggestions: one request at a time, and no answer to an old question.

local question = require('dgemma.question').new()
local server = require('dgemma.server')
local suggestion = require('dgemma.suggestion')

local M = {}

M.INVOKED = 1
M.AUTOMATIC = 2

---Take back what was asked and is not answered yet.
function M.cancel()
  question:cancel()
end

---Where and when: two that are equal speak of the same text and cursor.
---@param buf integer
---@return string
function M.moment(buf)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  return ('%d:%d:%d:%d'):format(buf, vim.api.nvim_buf_get_changedtick(buf), row, col)
end

---@param client vim.lsp.Client
---@param result lsp.InlineCompletionItem[]|lsp.InlineCompletionList|vim.NIL|nil
---@return dgemma.Candidate[]
local function candidates(client, result)
  local items = type(result) == 'table' and (result.items or result) or {}
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local line = vim.api.nvim_get_current_line()
  local found = {}
  for _, item in ipairs(items) do
    local first, last = col, col
    if item.range then
      first = server.byte(client, line, item.range.start.character)
      last = server.byte(client, line, item.range['end'].character)
    end
    local here = not item.range or item.range.start.line == row - 1
    found[#found + 1] = here and suggestion.candidate(item, line, col, first, last) or nil
  end
  return found
end

---Ask what may stand at the cursor of the current window, which shows `buf`.
---
---`done` is called once where the answer is still about the same text and cursor, else never.
---@param buf integer
---@param kind lsp.InlineCompletionTriggerKind
---@param done fun(found: dgemma.Candidate[])
function M.ask(buf, kind, done)
  local client = server.find(buf)
  if not client then
    question:cancel()
    return
  end
  local asked_at = M.moment(buf)
  local place = server.position(client)
  local params = {
    textDocument = { uri = place.textDocument.uri, version = vim.lsp.util.buf_versions[buf] },
    position = place.position,
    context = { triggerKind = kind },
  }
  question:ask(client, server.INLINE_COMPLETION, params, buf, function(err, result)
    local is_here = vim.api.nvim_get_current_buf() == buf and M.moment(buf) == asked_at
    if is_here and vim.startswith(vim.api.nvim_get_mode().mode, 'i') then
      done(err and {} or candidates(client, result))
    end
  end)
end

return M
