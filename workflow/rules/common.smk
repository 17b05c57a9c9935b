def code(*paths):
    """The package's modules that a stage's numbers depend on, as input files."""
    found = []
    for path in map(Path("ssl/sslpipe").joinpath, paths):
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return list(map(str, found))


def settings(*path):
    """What stands in params.yaml at `path`; a change of exactly this makes the rule run again."""
    return lookup(within=config, dpath="/".join(path))
