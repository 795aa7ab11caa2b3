#!/bin/sh
apt-get install -y puppet-agent
puppet agent --onetime --no-daemonize --server gw.example.com --masterport 8140
