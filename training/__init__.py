"""Makes the tiny model of `toolmend.demo`, and turns it from one file format into another."""
