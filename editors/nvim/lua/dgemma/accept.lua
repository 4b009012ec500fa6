--- Puts a suggestion, or its next word or line, into the buffer and tells the server.

local server = require('dgemma.server')
local session = require('dgemma.session')
local suggestion = require('dgemma.suggestion')

local M = {}

---@alias dgemma.Unit 'all'|'word'|'line'

---@type table<dgemma.Unit, fun(text: string): string>
local pieces = {
  all = function(text)
    return text
  end,
  word = suggestion.word,
  line = suggestion.line,
}

---Put text in at the cursor, and the cursor behind it.
---@param buf integer
---@param text string
local function insert(buf, text)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = vim.split(text, '\n', { plain = true })
  vim.api.nvim_buf_set_text(buf, row - 1, col, row - 1, col, lines)
  local last = #lines == 1 and col + #lines[1] or #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines - 1, last })
end

---Delete what the suggestion takes the place of, behind what belongs to it already.
---@param rest dgemma.Rest
local function delete_replaced(rest)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local start = col + rest.closed
  local stop = start + #rest.candidate.replaces
  vim.api.nvim_buf_set_text(rest.of.buf, row - 1, start, row - 1, stop, {})
end

---Insert a piece of what is shown now. Called by the keys that `accept` has pressed.
---@param unit dgemma.Unit
function M.insert(unit)
  local rest = session.rest()
  if not rest then
    return
  end
  local client = server.find(rest.of.buf)
  local piece = pieces[unit](rest.text)
  local candidate = rest.candidate
  if piece ~= rest.text then
    insert(rest.of.buf, piece)
    session.update()
    local so_far = candidate.typed .. rest.typed .. piece
    local told = { item = candidate.raw, acceptedLength = server.utf16_length(so_far) }
    if client then
      server.notify(client, 'textDocument/didPartiallyAcceptCompletion', told)
    end
    return
  end
  session.clear()
  delete_replaced(rest)
  insert(rest.of.buf, piece)
  if client and candidate.raw.command then
    server.execute(client, candidate.raw.command, rest.of.buf)
  end
end

---Accept what is shown, or its next word or line; false where nothing is, so that a key falls
---through. An open popup menu gets the key that accepts all. May be called from any mapping.
---@param unit? dgemma.Unit
---@return boolean
function M.accept(unit)
  unit = unit or 'all'
  if not pieces[unit] then
    error(('dgemma: accept() takes "all", "word" or "line", not %s'):format(vim.inspect(unit)), 0)
  end
  local is_for_menu = unit == 'all' and vim.fn.pumvisible() == 1
  if is_for_menu or not session.rest() then
    return false
  end
  -- An undo step of its own, between what was typed before and what will be typed.
  local insert_it = ('<Cmd>lua require("dgemma.accept").insert("%s")<CR>'):format(unit)
  local keys = vim.keycode('<C-g>u' .. insert_it .. '<C-g>u')
  vim.api.nvim_feedkeys(keys, 'ni', false)
  return true
end

return M
