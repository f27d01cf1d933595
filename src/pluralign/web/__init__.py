"""The explorer: a small service on loopback and its page (extra `serve`); started by `pluralign serve`."""
