--- Draws through Neovim's own inline completion (0.12 on) and answers what it asks.
---
--- Neovim asks 200 ms after a key and draws what it is answered. It never takes a question back,
--- asks again for what is typed through, tells the server nothing of what is shown, and cannot be
--- told what to show. So its question comes here instead of going to the server, and the function
--- that it hands over for the answer draws, whenever there is something to draw.

local server = require('dgemma.server')

local M = {}

local NAMESPACE = 'nvim.lsp.inline_completion'

---@type table<integer, lsp.Handler> By buffer: takes items and draws the first.
local answer = {}

---@type table<integer, boolean> The clients whose questions come here, by id.
local diverted = {}

---Let Neovim ask for this buffer.
---@param buf integer
function M.enable(buf)
  vim.lsp.inline_completion.enable(true, { bufnr = buf })
end

---Call `asked` where Neovim asks by itself, which a person may have told it to do for all servers.
---@param client vim.lsp.Client
---@param asked fun(buf: integer)
function M.divert(client, asked)
  if diverted[client.id] then
    return
  end
  diverted[client.id] = true
  local request = client.request
  client.request = function(self, method, params, handler, bufnr)
    local from_here = params and params.textDocument and params.textDocument.version
    if method ~= server.INLINE_COMPLETION or from_here then
      return request(self, method, params, handler, bufnr)
    end
    local asking = vim.uri_to_bufnr(params.textDocument.uri)
    answer[asking] = handler
    asked(asking)
    return true
  end
end

---@param buf integer
---@param items lsp.InlineCompletionItem[]
local function give(buf, items)
  local client = server.find(buf)
  if client and answer[buf] then
    answer[buf](nil, items, {
      client_id = client.id,
      bufnr = buf,
      method = server.INLINE_COMPLETION,
    })
  end
end

---Draw `text` at the cursor of the current window, which shows `buf`.
---@param buf integer
---@param text string
---@param item lsp.InlineCompletionItem What it is the rest of.
function M.draw(buf, text, item)
  local client = server.find(buf)
  if client then
    local here = server.position(client).position
    local range = { start = here, ['end'] = here }
    give(buf, { { insertText = text, range = range, command = item.command } })
  end
end

---@param buf integer
function M.clear(buf)
  if vim.api.nvim_buf_is_valid(buf) then
    give(buf, {})
    local namespace = vim.api.nvim_create_namespace(NAMESPACE)
    vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

return M
