--- Has lines rewritten: asks the server, lets the person choose and look, then changes the buffer.

local preview = require('dgemma.preview')
local question = require('dgemma.question').new()

local M = {}

M.METHOD = 'dgemma/rewrite'
M.COMMAND = 'dgemma.rewrite'

-- As many different texts are asked for.
local VARIANTS = 3

---The modes, in the order of the menu.
M.modes = {
  'shorten',
  'expand',
  'simplify',
  'formal',
  'friendly',
  'grammar',
  'translate',
  'custom',
  'continue',
  'docstring',
  'summarise',
  'explain',
  'fix',
  'commit',
}

---What a mode has to be told, and how the person is asked for it.
---@type table<string, { [1]: string, [2]: string }>
local needed = {
  custom = { 'instruction', 'What is to be done? ' },
  translate = { 'to', 'Into which language? ' },
  fix = { 'problem', 'What is wrong? ' },
}

-- What takes longer is told of.
local QUIET_MS = 1000

---What may be said of how it is written, as NAME=NUMBER among the words.
local numbers = { 'strength', 'length', 'variants', 'seed' }

local asked = 0

---@param line string
---@param level integer
local function say(line, level)
  vim.notify('dgemma: ' .. line, level)
end

---Show what came: variants to choose from, or what is only told.
---@param client vim.lsp.Client
---@param buf integer
---@param result table
local function show(client, buf, result)
  local edits = vim.tbl_map(function(variant)
    local change = variant.edit.documentChanges[1]
    return vim.tbl_map(function(edit)
      -- The person looks at them here, and need not be asked again.
      return { range = edit.range, newText = edit.newText }
    end, change.edits)
  end, result.variants)
  if #edits > 0 then
    preview.open(buf, result.mode, edits, client.offset_encoding)
  elseif result.told ~= '' then
    preview.tell(result.mode, result.told)
  else
    say(result.mode .. ': the text stays as it is', vim.log.levels.INFO)
  end
end

---Ask the server; a question that is under way is taken back.
---@param client vim.lsp.Client
---@param buf integer
---@param params table As the server's own code actions have them.
function M.ask(client, buf, params)
  local tick = vim.api.nvim_buf_get_changedtick(buf)
  asked = asked + 1
  local token = ('%s %d'):format(M.COMMAND, asked)
  local full = vim.tbl_extend('force', { variants = VARIANTS }, params, { workDoneToken = token })
  local is_open = question:ask(client, M.METHOD, full, buf, function(err, result)
    if err then
      if err.code ~= vim.lsp.protocol.ErrorCodes.RequestCancelled then
        say(err.message, vim.log.levels.WARN)
      end
    elseif not vim.api.nvim_buf_is_valid(buf) then
      return
    elseif vim.api.nvim_buf_get_changedtick(buf) ~= tick then
      say('the text has changed meanwhile; ask again', vim.log.levels.WARN)
    else
      show(client, buf, result)
    end
  end)
  vim.defer_fn(function()
    if is_open() then
      say(params.mode .. ': writing ...', vim.log.levels.INFO)
    end
  end, QUIET_MS)
end

---Take numbers such as `strength=0.3` out of words.
---@param words string[]
---@return table<string, number> found
---@return string rest
local function options(words)
  local found, rest = {}, {}
  for _, word in ipairs(words) do
    local name, number = word:match('^(%l+)=([%d.]+)$')
    if vim.list_contains(numbers, name) then
      found[name] = tonumber(number)
    else
      rest[#rest + 1] = word
    end
  end
  return found, table.concat(rest, ' ')
end

---@param client vim.lsp.Client
---@param first integer The first line, from 1.
---@param last integer
---@param mode string
---@param words string[] What the mode needs to be told, else the person is asked; and numbers.
local function start(client, first, last, mode, words)
  local params, said = options(words)
  local buf = vim.api.nvim_get_current_buf()
  local line = vim.api.nvim_buf_get_lines(buf, last - 1, last, true)[1]
  params = vim.tbl_extend('force', params, {
    textDocument = { uri = vim.uri_from_bufnr(buf) },
    range = {
      start = { line = first - 1, character = 0 },
      -- No unit is shorter than a byte, and the server cuts at the end of the line.
      ['end'] = { line = last - 1, character = #line },
    },
    mode = mode,
  })
  local lack = needed[mode]
  if not lack or said ~= '' then
    if lack then
      params[lack[1]] = said
    end
    M.ask(client, buf, params)
    return
  end
  vim.ui.input({ prompt = lack[2] }, function(given)
    if given and given ~= '' then
      params[lack[1]] = given
      M.ask(client, buf, params)
    end
  end)
end

---Rewrite lines of the current buffer; without a mode the person is asked for one.
---@param client vim.lsp.Client
---@param first integer
---@param last integer
---@param mode? string
---@param words string[]
function M.run(client, first, last, mode, words)
  if mode then
    start(client, first, last, mode, words)
    return
  end
  vim.ui.select(M.modes, { prompt = 'Rewrite' }, function(chosen)
    if chosen then
      start(client, first, last, chosen, words)
    end
  end)
end

---Let the server's own code actions be looked at here too.
function M.define_command()
  vim.lsp.commands[M.COMMAND] = function(command, ctx)
    local client = vim.lsp.get_client_by_id(ctx.client_id)
    if client then
      M.ask(client, ctx.bufnr, command.arguments[1])
    end
  end
end

return M
