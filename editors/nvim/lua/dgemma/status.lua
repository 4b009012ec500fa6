--- What the server says of itself, and the words for it in the statusline.

local server = require('dgemma.server')

local M = {}

---@class dgemma.Status
---@field state 'starting'|'loading'|'ready'|'busy'|'paused'|'error'
---@field text string One line for a person.
---@field progress? integer Percent, while loading.
---@field model? string

---@type table<integer, dgemma.Status> By client; no number is used twice.
local said = {}

---Keep what a server said, and let the statusline show it.
---@param client_id integer
---@param status dgemma.Status
function M.set(client_id, status)
  said[client_id] = status
  vim.api.nvim_exec_autocmds('User', { pattern = 'DgemmaStatus', modeline = false, data = status })
  vim.cmd.redrawstatus({ bang = true })
end

---What the server of a buffer said last; nil where none runs or it says nothing.
---@param buf? integer
---@return dgemma.Status?
function M.get(buf)
  local client = server.find(buf or vim.api.nvim_get_current_buf())
  return client and said[client.id]
end

---For 'statusline': "dgemma" with its state; empty in a buffer that no server looks after.
---@return string
function M.line()
  if not server.find(vim.api.nvim_get_current_buf()) then
    return ''
  end
  local status = M.get()
  if not status then
    return 'dgemma'
  end
  local progress = status.progress and (' %d%%'):format(status.progress) or ''
  return ('dgemma: %s%s'):format(status.state, progress)
end

return M
