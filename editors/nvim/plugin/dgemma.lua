--- Defines :DGemma; everything else waits for `require('dgemma').setup()`.

if vim.g.loaded_dgemma then
  return
end
vim.g.loaded_dgemma = true

vim.api.nvim_create_user_command('DGemma', function(args)
  require('dgemma.command').run(args)
end, {
  nargs = '*',
  range = true,
  desc = 'The assistant: status, explain, pause, resume, restart, chat, rewrite',
  complete = function(lead, line)
    return require('dgemma.command').names(lead, line)
  end,
})
