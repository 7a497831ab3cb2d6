"""Dependencies: every package that is pinned, its licence and its hashes; `docs/dependencies.md` and the SBOM."""
