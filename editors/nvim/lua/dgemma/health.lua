--- `:checkhealth dgemma`: everything that ghost text needs, and what to do where it is missing.

local config = require('dgemma.config')
local server = require('dgemma.server')
local health = vim.health

local M = {}

-- It imports torch to see what it can compute on.
local DOCTOR_MS = 60000

local function check_editor()
  if vim.fn.has('nvim-0.10') == 0 then
    health.error(('Neovim %s is too old'):format(vim.version()), 'Install Neovim 0.10 or newer.')
    return
  end
  local drawn_by = config.is_builtin() and 'Neovim itself, 200 ms after a key' or 'this plugin'
  health.ok(('Neovim %s; ghost text is drawn by %s'):format(vim.version(), drawn_by))
end

local function check_command()
  local command = config.options.cmd[1]
  if vim.fn.executable(command) == 0 then
    health.error(
      ('%s is not on the PATH that Neovim sees'):format(command),
      'Install the package, or give its full path: setup({ cmd = { "/path/to/dgemma", "lsp" } })'
    )
    return
  end
  health.ok(('%s is %s'):format(command, vim.fn.exepath(command)))
  local ran, run = pcall(function()
    return vim.system({ command, 'doctor' }, { text = true }):wait(DOCTOR_MS)
  end)
  if not ran then
    health.error(('%s doctor cannot be run: %s'):format(command, run))
    return
  end
  local said = vim.trim((run.stdout or '') .. (run.stderr or ''))
  local report = run.code == 0 and health.ok or health.warn
  report(('%s doctor says:\n%s'):format(command, said))
end

local function check_server()
  local clients = vim.lsp.get_clients({ name = server.NAME })
  if #clients == 0 then
    health.warn('no server runs', {
      'Open a file of a type that Neovim knows (:set filetype? tells it).',
      "Call require('dgemma').setup() in init.lua.",
    })
  end
  for _, client in ipairs(clients) do
    local info = client.server_info or {}
    local count = #vim.tbl_keys(client.attached_buffers)
    health.ok(('server %s looks after %d buffer(s)'):format(info.version or '', count))
  end
end

local function check_keys()
  for name, key in pairs(config.options.keys or {}) do
    if key then
      local mapped = vim.fn.maparg(key, 'i', false, true)
      if vim.startswith(mapped.desc or '', 'dgemma: ') then
        health.ok(('%s: %s'):format(key, mapped.desc:sub(#'dgemma: ' + 1)))
      else
        health.warn(
          ('%s is not mapped to %s'):format(key, name),
          'Call setup() after what maps it, or choose another key in setup({ keys = ... }).'
        )
      end
    end
  end
end

function M.check()
  health.start('dgemma')
  check_editor()
  check_command()
  check_server()
  check_keys()
end

return M
