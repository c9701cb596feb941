# SPDX-License-Identifier: MIT
"""evy._cli - the command line: settings, a master process, and the workers it forks.

main       the way from arguments to a running master
table      every setting, its flags and its help; values: how each kind of value is read
options    where settings come from: configuration file, EVY_CMD_ARGS, command line; surroundings: the folder
           and the environment that they ask for
master     the one loop that reacts to signals, workers and time; state: all that it knows
fleet      starts, replaces and stops workers; worker: the life of one, in its own process
channel    messages between the two; counters: what a server counted
upgrade    a new master takes the sockets over; status: the pages about all this
"""
