#!/bin/ash
