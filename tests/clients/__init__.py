"""Clients as their users write them; each is a program that asks the same questions of the gateway it is given."""
