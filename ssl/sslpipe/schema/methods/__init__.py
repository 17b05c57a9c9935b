"""The settings of each method, beside which sslpipe/methods has its class."""
