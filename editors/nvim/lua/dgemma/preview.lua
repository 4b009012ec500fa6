--- Shows what edits would change, in a window above the text; nothing changes before it is taken.

local M = {}

local diff = vim.text and vim.text.diff or vim.diff

---@class dgemma.Preview
---@field buf integer The buffer that would change.
---@field tick integer Its state when the edits were made.
---@field mode string
---@field variants lsp.TextEdit[][]
---@field encoding string
---@field at integer The variant that is shown.
---@field win integer
---@field shown integer The buffer of the window.

---@type dgemma.Preview?
local current

---@param shown integer
---@param title string
---@param footer string
---@return integer win
local function window(shown, title, footer)
  local lines = vim.api.nvim_buf_get_lines(shown, 0, -1, true)
  local width = math.min(math.max(60, #footer + 2), vim.o.columns - 4)
  for _, line in ipairs(lines) do
    width = math.max(width, math.min(vim.fn.strdisplaywidth(line), vim.o.columns - 4))
  end
  local height = math.max(1, math.min(#lines, vim.o.lines - 6))
  return vim.api.nvim_open_win(shown, true, {
    relative = 'editor',
    row = math.floor((vim.o.lines - height) / 2) - 1,
    col = math.floor((vim.o.columns - width) / 2),
    width = width,
    height = height,
    style = 'minimal',
    border = 'rounded',
    title = (' %s '):format(title),
    footer = (' %s '):format(footer),
  })
end

---@param lines string[]
---@param filetype string
---@return integer
local function scratch(lines, filetype)
  local buf = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(buf, 0, -1, true, lines)
  vim.bo[buf].filetype = filetype
  vim.bo[buf].bufhidden = 'wipe'
  vim.bo[buf].modifiable = false
  return buf
end

---The lines of a buffer as edits would make them.
---@param buf integer
---@param edits lsp.TextEdit[]
---@param encoding string
---@return string[]
local function edited(buf, edits, encoding)
  local copy = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(copy, 0, -1, true, vim.api.nvim_buf_get_lines(buf, 0, -1, true))
  vim.lsp.util.apply_text_edits(vim.deepcopy(edits), copy, encoding)
  local lines = vim.api.nvim_buf_get_lines(copy, 0, -1, true)
  vim.api.nvim_buf_delete(copy, { force = true })
  return lines
end

---@param shown dgemma.Preview
---@return string[]
local function hunks(shown)
  local before = vim.api.nvim_buf_get_lines(shown.buf, 0, -1, true)
  local after = edited(shown.buf, shown.variants[shown.at], shown.encoding)
  local function text(lines)
    return table.concat(lines, '\n') .. '\n'
  end
  local found = diff(text(before), text(after), { ctxlen = 1 }) --[[@as string]]
  return vim.split(vim.trim(found), '\n', { plain = true })
end

local function close()
  if current and vim.api.nvim_win_is_valid(current.win) then
    vim.api.nvim_win_close(current.win, true)
  end
  current = nil
end

local function accept()
  local taken = current
  close()
  if not taken or not vim.api.nvim_buf_is_valid(taken.buf) then
    return
  end
  if vim.api.nvim_buf_get_changedtick(taken.buf) ~= taken.tick then
    vim.notify('dgemma: the text has changed meanwhile; ask again', vim.log.levels.WARN)
    return
  end
  vim.lsp.util.apply_text_edits(taken.variants[taken.at], taken.buf, taken.encoding)
end

---@type fun()
local draw

---@param by integer
local function move(by)
  if current then
    current.at = (current.at - 1 + by) % #current.variants + 1
    draw()
  end
end

---@param buf integer
---@param keys string[]
---@param act fun()
local function map(buf, keys, act)
  for _, key in ipairs(keys) do
    vim.keymap.set('n', key, act, { buffer = buf, nowait = true })
  end
end

function draw()
  local shown = assert(current)
  if vim.api.nvim_win_is_valid(shown.win) then
    vim.api.nvim_win_close(shown.win, true)
  end
  shown.shown = scratch(hunks(shown), 'diff')
  local title = ('%s %d/%d'):format(shown.mode, shown.at, #shown.variants)
  shown.win = window(shown.shown, title, '<CR> accept   q reject   ]v next   [v previous')
  map(shown.shown, { '<CR>' }, accept)
  map(shown.shown, { 'q', '<Esc>' }, close)
  map(shown.shown, { ']v', '<Tab>' }, function()
    move(1)
  end)
  map(shown.shown, { '[v', '<S-Tab>' }, function()
    move(-1)
  end)
end

---Show variants of a buffer's text, the first one first.
---@param buf integer
---@param mode string
---@param variants lsp.TextEdit[][]
---@param encoding string
function M.open(buf, mode, variants, encoding)
  close()
  current = {
    buf = buf,
    tick = vim.api.nvim_buf_get_changedtick(buf),
    mode = mode,
    variants = variants,
    encoding = encoding,
    at = 1,
    win = -1,
    shown = -1,
  }
  draw()
end

---Show a text that changes nothing.
---@param mode string
---@param text string
function M.tell(mode, text)
  close()
  local shown = scratch(vim.split(text, '\n', { plain = true }), 'markdown')
  local win = window(shown, mode, 'q close')
  vim.wo[win].wrap = true
  map(shown, { 'q', '<Esc>' }, function()
    vim.api.nvim_win_close(win, true)
  end)
end

return M
