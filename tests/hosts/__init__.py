"""Tests of the scenarios over many hosts: a short part of them."""
