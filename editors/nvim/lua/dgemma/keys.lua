--- The keys, in insert mode. Each does what it did before where there is nothing to act on.

local M = {}

---@type table<string, { [1]: string, [2]: fun(): boolean? }>
local actions = {
  accept = {
    'Accept the suggestion',
    function()
      return require('dgemma').accept()
    end,
  },
  accept_word = {
    'Accept the next word of the suggestion',
    function()
      return require('dgemma').accept('word')
    end,
  },
  accept_line = {
    'Accept the next line of the suggestion',
    function()
      return require('dgemma').accept('line')
    end,
  },
  next = {
    'Show the next suggestion',
    function()
      return require('dgemma').next()
    end,
  },
  previous = {
    'Show the previous suggestion',
    function()
      return require('dgemma').previous()
    end,
  },
  dismiss = {
    'Dismiss the suggestion',
    function()
      return require('dgemma').dismiss()
    end,
  },
  ask = {
    'Ask for suggestions here',
    function()
      return require('dgemma').ask()
    end,
  },
}

---What a mapping from before gives when its key is pressed; the key itself where there was none.
---@param key string
---@param before table As `maparg()` tells it.
---@return string keys
local function fall_through(key, before)
  if vim.tbl_isempty(before) then
    return vim.keycode(key)
  end
  if before.expr == 1 then
    local given = before.callback and before.callback() or vim.api.nvim_eval(before.rhs)
    if type(given) ~= 'string' then
      return ''
    end
    return before.replace_keycodes == 1 and vim.keycode(given) or given
  end
  if before.callback then
    vim.schedule(before.callback)
    return ''
  end
  if before.noremap == 0 then
    vim.api.nvim_feedkeys(vim.keycode(before.rhs), 'im', false)
    return ''
  end
  return vim.keycode(before.rhs)
end

---@param key string
---@param description string
---@param act fun(): boolean?
local function map(key, description, act)
  local before = vim.fn.maparg(key, 'i', false, true)
  if before.buffer == 1 or vim.startswith(before.desc or '', 'dgemma: ') then
    before = {}
  end
  vim.keymap.set('i', key, function()
    return act() and '' or fall_through(key, before)
  end, { expr = true, replace_keycodes = false, desc = 'dgemma: ' .. description })
end

---Map the keys that the options name.
---@param keys dgemma.Keys|false
function M.map(keys)
  for name, key in pairs(keys or {}) do
    if key then
      map(key, actions[name][1], actions[name][2])
    end
  end
end

return M
