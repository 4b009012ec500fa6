--- The language server: how it is started and spoken to. What its answers mean is told elsewhere.

local config = require('dgemma.config')

local M = {}

M.NAME = 'dgemma'
M.INLINE_COMPLETION = 'textDocument/inlineCompletion'

-- From 0.11 on a client's functions are methods.
local has_methods = vim.fn.has('nvim-0.11') == 1

---What the server reads at its start and when it asks for its section "dgemma".
---@return table
local function settings()
  local editor = { status = true, drafts = config.options.drafts or nil }
  return vim.tbl_deep_extend('force', config.options.server, { editor = editor })
end

---The configuration of Neovim's language client.
---@return vim.lsp.ClientConfig
function M.config()
  local options = config.options
  local able = {
    textDocument = { inlineCompletion = { dynamicRegistration = false } },
    -- `dgemma.rewrite` shows annotated edits before they are applied, whatever Neovim does.
    workspace = {
      workspaceEdit = { documentChanges = true, changeAnnotationSupport = { groupsOnLabel = true } },
    },
  }
  return {
    name = M.NAME,
    cmd = options.cmd,
    filetypes = options.filetypes or nil,
    root_markers = options.root_markers,
    init_options = settings(),
    settings = { dgemma = settings() },
    capabilities = vim.tbl_deep_extend('force', vim.lsp.protocol.make_client_capabilities(), able),
    handlers = {
      ['dgemma/status'] = function(_, status, ctx)
        require('dgemma.status').set(ctx.client_id, status)
      end,
      ['dgemma/draft'] = function(_, draft, ctx)
        require('dgemma.session').draft(draft, ctx.client_id)
      end,
    },
  }
end

---Start the server for a buffer, or let the one that runs look after it.
---@param buf integer
function M.start(buf)
  local root = vim.fs.root(buf, config.options.root_markers)
  vim.lsp.start(vim.tbl_extend('force', M.config(), { root_dir = root }), {
    bufnr = buf,
    -- 0.10 would start one for each file that lies in no project.
    reuse_client = function(client)
      return client.name == M.NAME and client.root_dir == root
    end,
  })
end

---Start the server for every buffer that the options name, now and later.
---@param group integer
function M.enable(group)
  if has_methods then
    vim.lsp.config(M.NAME, M.config())
    vim.lsp.enable(M.NAME)
    return
  end
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    pattern = config.options.filetypes or '*',
    callback = function(event)
      if vim.bo[event.buf].buftype == '' then
        M.start(event.buf)
      end
    end,
  })
end

---The running client of a buffer.
---@param buf integer
---@return vim.lsp.Client?
function M.find(buf)
  return vim.lsp.get_clients({ bufnr = buf, name = M.NAME })[1]
end

---@param client vim.lsp.Client
---@param name 'request'|'notify'|'cancel_request'
local function call(client, name, ...)
  if has_methods then
    return client[name](client, ...)
  end
  return client[name](...)
end

---Send a request; its change of the buffer goes first, as the buffer's own number is given.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param buf integer
---@param done fun(err: lsp.ResponseError?, result: any)
---@return integer? id Nil where the server is gone.
function M.request(client, method, params, buf, done)
  local sent, id = call(client, 'request', method, params, done, buf)
  return sent and id or nil
end

---@param client vim.lsp.Client
---@param id integer
function M.cancel(client, id)
  call(client, 'cancel_request', id)
end

---@param client vim.lsp.Client
---@param method string
---@param params table
function M.notify(client, method, params)
  call(client, 'notify', method, params)
end

---Whether the server offers this command by name.
---@param client vim.lsp.Client
---@param command string
---@return boolean
function M.offers(client, command)
  local commands = vim.tbl_get(client.server_capabilities, 'executeCommandProvider', 'commands')
  return vim.list_contains(commands or {}, command)
end

---Run a command of the server.
---@param client vim.lsp.Client
---@param command { command: string, arguments: any[]? }
---@param buf integer
---@param done? fun(err: lsp.ResponseError?, result: any)
function M.execute(client, command, buf, done)
  local params = { command = command.command, arguments = command.arguments or {} }
  M.request(client, 'workspace/executeCommand', params, buf, done or function() end)
end

---The cursor of the current window, which shows `buf`, as the server counts.
---@param client vim.lsp.Client
---@return lsp.TextDocumentPositionParams
function M.position(client)
  return vim.lsp.util.make_position_params(0, client.offset_encoding)
end

---The byte in a line of the buffer where a position of the server lies.
---@param client vim.lsp.Client
---@param line string
---@param character integer
---@return integer
function M.byte(client, line, character)
  local encoding = client.offset_encoding
  if encoding == 'utf-8' then
    return math.min(character, #line)
  end
  if has_methods then
    return vim.str_byteindex(line, encoding, character, false)
  end
  local ok, byte = pcall(vim.str_byteindex, line, character, encoding == 'utf-16')
  return ok and byte or #line
end

---The length of a text in UTF-16 units.
---@param text string
---@return integer
function M.utf16_length(text)
  if has_methods then
    return vim.str_utfindex(text, 'utf-16')
  end
  local _, units = vim.str_utfindex(text)
  return units
end

---The first byte behind so many UTF-16 units of a text.
---@param text string
---@param units integer
---@return integer
function M.utf16_byte(text, units)
  if has_methods then
    return vim.str_byteindex(text, 'utf-16', units, false)
  end
  local ok, byte = pcall(vim.str_byteindex, text, units, true)
  return ok and byte or #text
end

return M
