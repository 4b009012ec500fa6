--- Tells the server what others find wrong in a buffer: it hears nothing of other servers itself.

local server = require('dgemma.server')

local M = {}

-- More than the server would read of any place.
local MOST = 500

---@param buf integer
function M.tell(buf)
  local client = server.find(buf)
  if not client then
    return
  end
  local found = vim.diagnostic.get(buf, { severity = { min = vim.diagnostic.severity.WARN } })
  local told = vim.tbl_map(function(one)
    return { line = one.lnum, message = one.message, severity = one.severity, source = one.source }
  end, vim.list_slice(found, 1, MOST))
  server.notify(client, 'dgemma/diagnostics', {
    textDocument = { uri = vim.uri_from_bufnr(buf) },
    diagnostics = told,
  })
end

return M
