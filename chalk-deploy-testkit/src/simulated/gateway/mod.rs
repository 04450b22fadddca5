//! A gateway that routes requests to simulated pods by weight and header.
