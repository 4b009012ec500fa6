--- A question to the server of which only the newest counts: asking again takes the old one back.

local server = require('dgemma.server')

---@class dgemma.Question
---@field private pending? { client: vim.lsp.Client, id: integer }
local Question = {}
Question.__index = Question

---@return dgemma.Question
function Question.new()
  return setmetatable({}, Question)
end

---Take back what was asked and is not answered yet.
function Question:cancel()
  if self.pending then
    server.cancel(self.pending.client, self.pending.id)
    self.pending = nil
  end
end

---Ask; `done` is called also where the answer comes after a newer question.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param buf integer
---@param done fun(err: lsp.ResponseError?, result: any)
---@return fun(): boolean is_open Whether this very question still waits for its answer.
function Question:ask(client, method, params, buf, done)
  self:cancel()
  local id
  local function is_open()
    return self.pending ~= nil and self.pending.id == id
  end
  id = server.request(client, method, params, buf, function(err, result)
    if is_open() then
      self.pending = nil
    end
    done(err, result)
  end)
  self.pending = id and { client = client, id = id } or nil
  return is_open
end

return Question
