"""Demo University: an OpenID provider for the demo and the tests. Never part of the product."""
