"""Which of the study's claims hold for the runs at hand; docs/claims.md states the rules."""
