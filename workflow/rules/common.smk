def code(*paths):
    """The package's files that a stage's numbers depend on, as input files."""
    found = []
    for path in map(Path("ssl/sslpipe").joinpath, paths):
        inside = sorted(p for p in path.rglob("*.*") if "__pycache__" not in p.parts)
        found += inside if path.is_dir() else [path]
    return list(map(str, found))


def settings(*path):
    """What stands in params.yaml at `path`; a change of exactly this makes the rule run again."""
    return lookup(within=config, dpath="/".join(path))
