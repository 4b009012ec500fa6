--- What a person's init.lua calls: `setup()`, and functions for keys and the statusline.

local M = {}

---Follow the person's typing in the buffers that the server looks after.
---@param group integer
local function follow(group)
  local function on(events, act)
    vim.api.nvim_create_autocmd(events, { group = group, callback = act })
  end
  local diagnostics = require('dgemma.diagnostics')
  local session = require('dgemma.session')
  vim.api.nvim_create_autocmd('LspAttach', {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == require('dgemma.server').NAME then
        session.attach(client, event.buf)
        diagnostics.tell(event.buf)
      end
    end,
  })
  vim.api.nvim_create_autocmd('LspDetach', {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == require('dgemma.server').NAME then
        session.stop()
      end
    end,
  })
  on({ 'InsertEnter', 'TextChangedI', 'TextChangedP', 'CursorMovedI' }, session.update)
  on({ 'CompleteChanged', 'CompleteDone' }, session.update)
  on({ 'InsertLeave', 'BufLeave', 'WinLeave' }, session.stop)
  on('DiagnosticChanged', function(event)
    diagnostics.tell(event.buf)
  end)
  on('ColorScheme', require('dgemma.ghost').define_highlights)
end

---Start the server for what is opened from now on, and show its suggestions.
---
---An option that is unknown or has a wrong value is refused in one line, and nothing is started.
---@param options? table<string, any> See |dgemma-options|.
function M.setup(options)
  if vim.fn.has('nvim-0.10') == 0 then
    error('dgemma: Neovim 0.10 or newer is needed', 0)
  end
  local config = require('dgemma.config')
  config.set(options or {})
  local group = vim.api.nvim_create_augroup('dgemma', { clear = true })
  require('dgemma.ghost').define_highlights()
  follow(group)
  require('dgemma.keys').map(config.options.keys)
  require('dgemma.rewrite').define_command()
  require('dgemma.server').enable(group)
end

---Accept what is shown, or its next 'word' or 'line'; false where nothing is.
---@param unit? 'all'|'word'|'line'
---@return boolean
function M.accept(unit)
  return require('dgemma.accept').accept(unit)
end

---Show the next suggestion for this place; false where nothing is shown.
---@return boolean
function M.next()
  return require('dgemma.session').move(1)
end

---Show the previous suggestion for this place; false where nothing is shown.
---@return boolean
function M.previous()
  return require('dgemma.session').move(-1)
end

---Take the suggestion away and tell the server so; false where nothing is shown.
---@return boolean
function M.dismiss()
  return require('dgemma.session').dismiss()
end

---Ask for suggestions here; false where no server looks after the buffer.
---@return boolean
function M.ask()
  return require('dgemma.session').ask()
end

---Words for the statusline: `%{v:lua.require'dgemma'.statusline()}`.
---@return string
function M.statusline()
  return require('dgemma.status').line()
end

return M
