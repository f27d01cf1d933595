"""One file a source: its card, its loader, its tasks. `suite.registry` names them."""
