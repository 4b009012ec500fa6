--- The options of `setup()`: their defaults, and the one line that refuses what is wrong.

local M = {}

---@class (exact) dgemma.Keys
---@field accept string|false
---@field accept_word string|false
---@field accept_line string|false
---@field next string|false
---@field previous string|false
---@field dismiss string|false
---@field ask string|false

---@class (exact) dgemma.Options
---@field cmd string[] The command of the language server.
---@field filetypes string[]|false Attach to these only; false: to every file of a known type.
---@field root_markers string[] What marks the folder of a project.
---@field ghost_text 'own'|'builtin' Who draws: this plugin, or Neovim (0.12 on).
---@field delay_ms integer The pause in typing before the server is asked, where the plugin asks.
---@field drafts boolean Show a suggestion while it is being written.
---@field keys dgemma.Keys|false
---@field server table The server's options: the tables `completion`, `model` and `editor`.

---@type dgemma.Options
local defaults = {
  cmd = { 'dgemma', 'lsp' },
  filetypes = false,
  root_markers = { '.git' },
  ghost_text = 'own',
  delay_ms = 20,
  drafts = false,
  keys = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-Down>',
    next = '<M-]>',
    previous = '<M-[>',
    dismiss = '<C-]>',
    ask = '<M-\\>',
  },
  server = {},
}

---The options in force; `setup()` replaces them.
---@type dgemma.Options
M.options = vim.deepcopy(defaults)

---@alias dgemma.Check fun(value: any): boolean

local function is_strings(value)
  return vim.islist(value)
    and #value > 0
    and vim.iter(value):all(function(item)
      return type(item) == 'string' and item ~= ''
    end)
end

local function is_table(value)
  return type(value) == 'table' and (vim.tbl_isempty(value) or not vim.islist(value))
end

---@type table<string, { [1]: dgemma.Check, [2]: string }>
local checks = {
  cmd = { is_strings, 'a list of words, such as { "dgemma", "lsp" }' },
  filetypes = {
    function(value)
      return value == false or is_strings(value)
    end,
    'a list of file types, or false for all',
  },
  root_markers = { is_strings, 'a list of file names' },
  ghost_text = {
    function(value)
      return value == 'own' or (value == 'builtin' and vim.fn.has('nvim-0.12') == 1)
    end,
    '"own" or, from Neovim 0.12 on, "builtin"',
  },
  delay_ms = {
    function(value)
      return type(value) == 'number' and value % 1 == 0 and value >= 0 and value <= 10000
    end,
    'a whole number of milliseconds from 0 to 10000',
  },
  drafts = {
    function(value)
      return type(value) == 'boolean'
    end,
    'true or false',
  },
  keys = {
    function(value)
      return value == false or is_table(value)
    end,
    'a table, or false for no keys',
  },
  server = { is_table, 'a table' },
}

---@param name string
---@param known string[]
local function refuse_name(name, known)
  table.sort(known)
  error(('dgemma: unknown option %s; there are %s'):format(name, table.concat(known, ', ')), 0)
end

---@param keys table<string, any>
local function check_keys(keys)
  for name, key in pairs(keys) do
    if defaults.keys[name] == nil then
      refuse_name('keys.' .. tostring(name), vim.tbl_keys(defaults.keys))
    end
    if key ~= false and (type(key) ~= 'string' or key == '') then
      error(
        ('dgemma: keys.%s must be a key such as <Tab>, or false, not %s'):format(
          name,
          vim.inspect(key)
        ),
        0
      )
    end
  end
end

---Check the options by name and put them in force; an error is one line and changes nothing.
---@param given table<string, any>
function M.set(given)
  if not is_table(given) then
    error(('dgemma: setup() takes a table of options, not %s'):format(vim.inspect(given)), 0)
  end
  for name, value in pairs(given) do
    local check = checks[name]
    if not check then
      refuse_name(tostring(name), vim.tbl_keys(checks))
    end
    if not check[1](value) then
      local said = vim.inspect(value, { newline = ' ', indent = '' })
      error(('dgemma: %s must be %s, not %s'):format(name, check[2], said), 0)
    end
  end
  if type(given.keys) == 'table' then
    check_keys(given.keys)
  end
  M.options = vim.tbl_deep_extend('force', vim.deepcopy(defaults), given) --[[@as dgemma.Options]]
end

---Whether Neovim itself draws the ghost text.
---@return boolean
function M.is_builtin()
  return M.options.ghost_text == 'builtin'
end

return M
