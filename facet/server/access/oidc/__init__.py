"""OpenID Connect: bearer tokens that an identity provider signs, its keys, and the rights that claims give."""
