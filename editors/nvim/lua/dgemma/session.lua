--- The suggestion at the cursor: when one is asked for, what is left of it, when it goes.
---
--- There is one at most, in the current window. Who draws it is told by `config`, how it gets into
--- the buffer by `accept`.

local builtin = require('dgemma.builtin')
local config = require('dgemma.config')
local ghost = require('dgemma.ghost')
local request = require('dgemma.request')
local server = require('dgemma.server')
local suggestion = require('dgemma.suggestion')

local M = {}

local anchors = vim.api.nvim_create_namespace('dgemma.anchor')

---@class dgemma.Shown
---@field buf integer
---@field anchor integer The mark where the cursor was: it moves with the text.
---@field before string The line before the cursor then.
---@field after string The line behind it.
---@field candidates dgemma.Candidate[]
---@field index integer
---@field told table<integer, true> Which candidates the server knows to be shown.
---@field counts boolean Whether a person asked for several and wants to know which this is.

---@type dgemma.Shown?
local shown
---@type string? The moment that was asked about last.
local last_asked
---@type uv.uv_timer_t
local timer = assert(vim.uv.new_timer())

---@class dgemma.Rest What is left of a suggestion at the cursor.
---@field of dgemma.Shown
---@field candidate dgemma.Candidate
---@field text string
---@field typed string What was typed of it since it came.
---@field closed integer Bytes behind the cursor that belong to it already.

---What is left at the cursor; nil where nothing is shown or something else was typed.
---@return dgemma.Rest?
function M.rest()
  local buf = vim.api.nvim_get_current_buf()
  if not shown or shown.buf ~= buf then
    return nil
  end
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local start = vim.api.nvim_buf_get_extmark_by_id(buf, anchors, shown.anchor, {})
  if not start[1] or start[1] > row - 1 or (start[1] == row - 1 and start[2] > col) then
    return nil
  end
  -- The mark also moves with what is taken back before it, and then nothing fits any more.
  local before = vim.api.nvim_buf_get_text(buf, start[1], 0, start[1], start[2], {})[1]
  if before ~= shown.before then
    return nil
  end
  local lines = vim.api.nvim_buf_get_text(buf, start[1], start[2], row - 1, col, {})
  local typed = table.concat(lines, '\n')
  local after = vim.api.nvim_get_current_line():sub(col + 1)
  local candidate = assert(shown.candidates[shown.index])
  local left, closed = suggestion.left(candidate.text, typed, after, shown.after)
  if not left or not closed or left == '' then
    return nil
  end
  return { of = shown, candidate = candidate, text = left, typed = typed, closed = closed }
end

---Which of how many candidates is shown, for the person.
---@param it dgemma.Shown
---@return string
local function count(it)
  local counts = it.counts and #it.candidates > 1
  return counts and (' (%d/%d)'):format(it.index, #it.candidates) or ''
end

---@param rest dgemma.Rest
local function draw(rest)
  local it = rest.of
  if config.is_builtin() then
    builtin.draw(it.buf, rest.text, rest.candidate.raw)
  else
    ghost.draw(it.buf, { { rest.text, 'DgemmaGhost' }, { count(it), 'DgemmaCount' } })
  end
  local client = server.find(it.buf)
  if client and not it.told[it.index] then
    it.told[it.index] = true
    server.notify(client, 'textDocument/didShowCompletion', { item = rest.candidate.raw })
  end
end

---@param buf integer
local function hide(buf)
  ghost.clear(buf)
  if config.is_builtin() then
    builtin.clear(buf)
  end
end

---Forget the suggestion and take its picture away.
function M.clear()
  if shown then
    local buf = shown.buf
    shown = nil
    if vim.api.nvim_buf_is_valid(buf) then
      vim.api.nvim_buf_clear_namespace(buf, anchors, 0, -1)
    end
    hide(buf)
  end
  ghost.clear(vim.api.nvim_get_current_buf())
end

---Forget everything of the moment: what is shown, asked and waited for.
function M.stop()
  timer:stop()
  request.cancel()
  last_asked = nil
  M.clear()
end

---@param buf integer
---@param found dgemma.Candidate[]
---@param index integer
---@param counts boolean
local function show(buf, found, index, counts)
  M.clear()
  if #found == 0 then
    return
  end
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  shown = {
    buf = buf,
    anchor = vim.api.nvim_buf_set_extmark(buf, anchors, row - 1, col, { right_gravity = false }),
    before = vim.api.nvim_get_current_line():sub(1, col),
    after = vim.api.nvim_get_current_line():sub(col + 1),
    candidates = found,
    index = math.min(index, #found),
    told = {},
    counts = counts,
  }
  local rest = M.rest()
  if rest then
    draw(rest)
  end
end

---Whether a person types at the cursor, and has not chosen anything from a menu there.
---@return boolean
local function is_typing()
  return vim.startswith(vim.api.nvim_get_mode().mode, 'i')
    and vim.fn.reg_executing() == ''
    and (vim.fn.pumvisible() == 0 or vim.fn.complete_info({ 'selected' }).selected == -1)
end

---Ask at once what the editor wants to know by itself; the same moment is asked about once.
---@param buf integer
local function ask(buf)
  if not is_typing() or vim.api.nvim_get_current_buf() ~= buf or M.rest() then
    return
  end
  local moment = request.moment(buf)
  if moment ~= last_asked then
    last_asked = moment
    request.ask(buf, request.AUTOMATIC, function(found)
      show(buf, found, 1, false)
    end)
  end
end

---Follow the cursor and the text: what was typed through stays, else the server is asked.
function M.update()
  local buf = vim.api.nvim_get_current_buf()
  if not is_typing() or not server.find(buf) then
    M.stop()
    return
  end
  local rest = M.rest()
  if rest then
    draw(rest)
    return
  end
  M.clear()
  if not config.is_builtin() and request.moment(buf) ~= last_asked then
    request.cancel()
    timer:start(config.options.delay_ms, 0, function()
      vim.schedule(function()
        ask(buf)
      end)
    end)
  end
end

---Let the server be asked in this buffer.
---@param client vim.lsp.Client
---@param buf integer
function M.attach(client, buf)
  if config.is_builtin() then
    builtin.divert(client, ask)
    builtin.enable(buf)
  else
    builtin.divert(client, function() end)
  end
  M.update()
end

---Show `step` candidates further; a single one is asked for more.
---@param step integer
---@return boolean
function M.move(step)
  local rest = M.rest()
  if not rest then
    return false
  end
  local it = rest.of
  if #it.candidates == 1 then
    return M.ask(function(found)
      local is_same = found[1].text == rest.text
      return is_same and (step > 0 and 2 or #found) or 1
    end)
  end
  it.index = (it.index - 1 + step) % #it.candidates + 1
  it.counts = true
  M.update()
  return true
end

---Ask because a person wants it: several candidates, and again where nothing came before.
---@param choose? fun(found: dgemma.Candidate[]): integer Which is shown first.
---@return boolean
function M.ask(choose)
  local buf = vim.api.nvim_get_current_buf()
  if not server.find(buf) then
    return false
  end
  timer:stop()
  last_asked = request.moment(buf)
  request.ask(buf, request.INVOKED, function(found)
    show(buf, found, choose and #found > 0 and choose(found) or 1, true)
  end)
  return true
end

---Take the suggestion away because a person does not want it.
---@return boolean
function M.dismiss()
  local rest = M.rest()
  if not rest then
    return false
  end
  M.clear()
  last_asked = request.moment(rest.of.buf)
  local client = server.find(rest.of.buf)
  if client then
    server.notify(client, 'dgemma/didRejectCompletion', { item = rest.candidate.raw })
  end
  return true
end

---Show what is being written, what has settled brighter, until the answer comes.
---@param draft { uri: string, version: integer, range: lsp.Range, text: string, stable: integer, final: boolean }
---@param client_id integer
function M.draft(draft, client_id)
  local buf = vim.api.nvim_get_current_buf()
  local client = vim.lsp.get_client_by_id(client_id)
  if shown or not client or not config.options.drafts or not is_typing() then
    return
  end
  if vim.uri_from_bufnr(buf) ~= draft.uri or vim.lsp.util.buf_versions[buf] ~= draft.version then
    return
  end
  ghost.clear(buf)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local line = vim.api.nvim_get_current_line()
  local start = server.byte(client, line, draft.range.start.character)
  local typed = line:sub(start + 1, col)
  if draft.range.start.line == row - 1 and vim.startswith(draft.text, typed) then
    local settled = math.max(#typed, server.utf16_byte(draft.text, draft.stable))
    ghost.draw(buf, {
      { draft.text:sub(#typed + 1, settled), 'DgemmaGhost' },
      { draft.text:sub(settled + 1), 'DgemmaDraft' },
    })
  end
end

return M
