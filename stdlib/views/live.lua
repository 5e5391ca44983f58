-- A terminal: for now the plain lines.
return require "views.plain"
