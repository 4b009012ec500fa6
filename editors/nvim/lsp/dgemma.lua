--- How Neovim 0.11 and later start the language server: `vim.lsp.enable('dgemma')`.

return require('dgemma.server').config()
