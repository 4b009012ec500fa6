--- What `:DGemma` does: one function for each subcommand, one line to the person for each outcome.

local config = require('dgemma.config')
local server = require('dgemma.server')

local M = {}

---@param line string
---@param level? integer
local function say(line, level)
  vim.notify('dgemma: ' .. line, level or vim.log.levels.INFO)
end

---@param line string
local function warn(line)
  say(line, vim.log.levels.WARN)
end

---The server of the current buffer; says what to do where there is none.
---@return vim.lsp.Client?
local function attached()
  local client = server.find(vim.api.nvim_get_current_buf())
  if not client then
    warn('no server looks after this buffer; :checkhealth dgemma tells why')
  end
  return client
end

---Run a command of the server and say what came of it.
---@param name string
---@param done_line string
local function execute(name, done_line)
  local client = attached()
  if not client then
    return
  end
  if not server.offers(client, name) then
    warn(('this server does not offer %s; update the dgemma-lsp package'):format(name))
    return
  end
  server.execute(client, { command = name }, vim.api.nvim_get_current_buf(), function(err)
    if err then
      warn(err.message)
    else
      say(done_line)
    end
  end)
end

---The command line of another subcommand of `dgemma`; says so where there is none.
---@param subcommand string
---@return string[]?
local function command_line(subcommand)
  local command = config.options.cmd[1]
  if vim.fn.executable(command) == 1 then
    return { command, subcommand }
  end
  warn(('%s is not on the PATH that Neovim sees'):format(command))
end

---@type table<string, fun(args: table)>
local commands = {}

function commands.status()
  local status = require('dgemma.status').get()
  if status then
    say(('%s: %s'):format(status.state, status.text))
  end
  local argv = command_line('status')
  if not argv then
    return
  end
  vim.system(argv, { text = true }, function(run)
    vim.schedule(function()
      say(vim.trim(run.stdout .. run.stderr))
    end)
  end)
end

function commands.explain()
  local client = attached()
  if not client then
    return
  end
  local place = server.position(client)
  local buf = vim.api.nvim_get_current_buf()
  server.request(client, 'dgemma/explain', place, buf, function(err, result)
    if err then
      warn(('the server does not explain: %s'):format(err.message))
    else
      say(result.text)
    end
  end)
end

function commands.pause()
  execute('dgemma.pause', 'paused; :DGemma resume goes on')
end

function commands.resume()
  execute('dgemma.resume', 'suggestions come again')
end

function commands.restart()
  local buf = vim.api.nvim_get_current_buf()
  if not server.find(buf) then
    server.start(buf)
    say('the language server starts')
    return
  end
  execute('dgemma.restart', 'the model starts again')
end

function commands.chat()
  local argv = command_line('chat')
  if not argv then
    return
  end
  vim.cmd('botright new')
  if vim.fn.has('nvim-0.11') == 1 then
    vim.fn.jobstart(argv, { term = true })
  else
    vim.fn.termopen(argv)
  end
  vim.cmd.startinsert()
end

function commands.rewrite(args)
  local client = attached()
  if not client then
    return
  end
  local rewrite = require('dgemma.rewrite')
  if not server.offers(client, rewrite.COMMAND) then
    warn('this server offers no rewriting; update the dgemma-lsp package')
    return
  end
  rewrite.run(client, args.line1, args.line2, args.fargs[2], vim.list_slice(args.fargs, 3))
end

---@param names string[]
---@param lead string
---@return string[]
local function beginning(names, lead)
  local found = vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, names)
  table.sort(found)
  return found
end

---The subcommands that begin so, in order; behind `rewrite` its modes.
---@param lead string
---@param line? string What stands on the command line.
---@return string[]
function M.names(lead, line)
  if (line or ''):match('DGemma%s+rewrite%s+%S*$') then
    return beginning(require('dgemma.rewrite').modes, lead)
  end
  return beginning(vim.tbl_keys(commands), lead)
end

---Run `:DGemma NAME`.
---@param args table As Neovim gives it to a user command.
function M.run(args)
  local name = args.fargs[1] or 'status'
  local command = commands[name]
  if not command or (#args.fargs > 1 and name ~= 'rewrite') then
    local known = table.concat(M.names(''), ', ')
    warn(('there is no ":DGemma %s"; there are %s'):format(args.args, known))
    return
  end
  command(args)
end

return M
