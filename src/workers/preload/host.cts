import type { Cluster } from 'node:cluster';
import forkEnvironment = require('./host/fork-environment.cjs');
import HandoffRelay = require('./drain/handoff-relay.cjs');

const installed = new WeakSet<Cluster>();

/**
 * What a worker host (the cluster's primary) does for the preload of its workers. Call it before the first worker is
 * forked; a second call does nothing.
 */
function install(cluster: Cluster): void {
	if (installed.has(cluster)) return;
	installed.add(cluster);
	new HandoffRelay().install(cluster);
	forkEnvironment.install(cluster);
}

export = { install };
