"""The control plane's rules, one module a resource: what may be made, changed and removed."""
