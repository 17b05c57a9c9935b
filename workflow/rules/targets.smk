# A file on the command line, of a run or set that params.yaml does not have: named here, as Snakemake
# would tell of an input function's KeyError, or that it knows no rule.
KNOWN = {
    "run": ("run", RUNS),
    "dataset": ("data set", config["datasets"]),
    "corpus": ("corpus", config["corpora"]),
    "study": ("study", config["studies"]),
}


def unknown_names(target):
    """Pairs (key of KNOWN, name); none where some rule makes the file."""
    found = []
    for output in (str(output) for made in workflow.rules for output in made.output):
        texts = re.split(r"\{(\w+)[^{}]*\}", output)  # every second one is a wildcard
        pattern = "".join(
            rf"(?P<{text}>\w+)" if i % 2 else re.escape(text)
            for i, text in enumerate(texts)
        )
        if match := re.fullmatch(pattern, target):
            unknown = [
                (key, name)
                for key, name in match.groupdict().items()
                if key in KNOWN and name not in KNOWN[key][1]
            ]
            if not unknown:
                return []
            found += unknown
    return found


for target in sys.argv[1:]:
    if unknown := unknown_names(target):
        key, name = unknown[-1]
        kind, there_are = KNOWN[key]
        raise WorkflowError(
            f"{target}: no {kind} named {name!r} in params.yaml; "
            f"there are: {', '.join(there_are) or 'none'}"
        )
