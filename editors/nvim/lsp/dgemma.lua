--- How Neovim starts the language server. Keys and ghost text are switched on in init.lua.

---@type vim.lsp.Config
return {
  cmd = { 'dgemma', 'lsp' },
  -- No `filetypes`: the model completes text of any kind.
  root_markers = { '.git' },
}
