--- Accepts ghost text without repeating what was typed since it was asked for. It draws nothing.

local M = {}

---The text of the current buffer between two 0-based byte positions, or nil where there is none.
local function text_between(start_row, start_col, row, col)
  local ok, lines = pcall(vim.api.nvim_buf_get_text, 0, start_row, start_col, row, col, {})
  return ok and table.concat(lines, '\n') or nil
end

---Insert what is left of `item` at the cursor; a tab where nothing is, or other text was typed.
---@param item vim.lsp.inline_completion.Item
local function insert_rest(item)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  row = row - 1
  local range = item.range
  -- Neovim 0.12's nightlies have two positions in a range, its releases four numbers.
  local start_row = range and (range.start_row or range.start.row) or row
  local start_col = range and (range.start_col or range.start.col) or col
  local typed = text_between(start_row, start_col, row, col)
  local text = item.insert_text
  local fits = type(text) == 'string' and typed and vim.startswith(text, typed)
  if not fits or text == typed then
    vim.api.nvim_feedkeys(vim.keycode('<Tab>'), 'n', false)
    return
  end
  local lines = vim.split(text:sub(#typed + 1), '\n')
  vim.api.nvim_buf_set_text(0, row, col, row, col, lines)
  local last_col = #lines == 1 and col + #lines[1] or #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines, last_col })
end

---Accept the ghost text on screen; returns false where there is none, so that a key can fall through.
---@return boolean
function M.accept()
  return vim.lsp.inline_completion.get({ on_accept = insert_rest })
end

return M
