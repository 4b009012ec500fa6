--- Draws text that is not there: at the cursor, over the end of its line, in lines below it.

local M = {}

local namespace = vim.api.nvim_create_namespace('dgemma.ghost')

---A piece of ghost text and the highlight group that it is drawn in.
---@alias dgemma.Chunk { [1]: string, [2]: string }

---The groups follow the colour scheme, and give way to the user's own.
function M.define_highlights()
  local hint = vim.fn.hlexists('ComplHint') == 1 and 'ComplHint' or 'NonText'
  local more = vim.fn.hlexists('ComplHintMore') == 1 and 'ComplHintMore' or 'MoreMsg'
  vim.api.nvim_set_hl(0, 'DgemmaGhost', { link = hint, default = true })
  vim.api.nvim_set_hl(0, 'DgemmaDraft', { link = 'Conceal', default = true })
  vim.api.nvim_set_hl(0, 'DgemmaCount', { link = more, default = true })
end

---Cut chunks at their line ends.
---@param chunks dgemma.Chunk[]
---@return dgemma.Chunk[][]
local function to_lines(chunks)
  local lines = { {} }
  for _, chunk in ipairs(chunks) do
    for at, piece in ipairs(vim.split(chunk[1], '\n', { plain = true })) do
      if at > 1 then
        lines[#lines + 1] = {}
      end
      if piece ~= '' then
        table.insert(lines[#lines], { piece, chunk[2] })
      end
    end
  end
  return lines
end

---Write tabs as the blanks that they will take: virtual text knows no tabs.
---@param line dgemma.Chunk[]
---@param column integer The screen column where the line begins.
---@param width integer 'tabstop'
---@return integer column Where it ends.
local function expand_tabs(line, column, width)
  for _, chunk in ipairs(line) do
    local text = ''
    for piece, tab in chunk[1]:gmatch('([^\t]*)(\t?)') do
      text = text .. piece
      column = column + vim.fn.strdisplaywidth(piece, column)
      if tab ~= '' then
        local blanks = width - column % width
        text = text .. (' '):rep(blanks)
        column = column + blanks
      end
    end
    chunk[1] = text
  end
  return column
end

---Draw at the cursor of the current window, which shows `buf`.
---
---Several lines in the middle of a line push what stands behind the cursor to their end, where
---accepting puts it: the first line then lies over it.
---@param buf integer
---@param chunks dgemma.Chunk[]
function M.draw(buf, chunks)
  M.clear(buf)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = to_lines(chunks)
  local behind = vim.api.nvim_get_current_line():sub(col + 1)
  local column, width = vim.fn.virtcol('.') - 1, vim.bo[buf].tabstop
  local moves = #lines > 1 and behind ~= ''
  if moves then
    table.insert(lines[#lines], { behind, 'Normal' })
  end
  for at, line in ipairs(lines) do
    local last = expand_tabs(line, at == 1 and column or 0, width)
    if at == 1 and moves then
      local uncovered = column + vim.fn.strdisplaywidth(behind, column) - last
      table.insert(line, { (' '):rep(math.max(0, uncovered)), 'Normal' })
    end
  end
  vim.api.nvim_buf_set_extmark(buf, namespace, row - 1, col, {
    virt_text = lines[1],
    virt_text_pos = moves and 'overlay' or 'inline',
    virt_lines = #lines > 1 and vim.list_slice(lines, 2) or nil,
    hl_mode = 'combine',
  })
end

---@param buf integer
function M.clear(buf)
  if vim.api.nvim_buf_is_valid(buf) then
    vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

return M
