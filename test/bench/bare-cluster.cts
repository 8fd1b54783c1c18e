/** Workers of one app under Node's own cluster and nothing else: `bare-cluster.cjs APP COUNT`; which policy, NODE_CLUSTER_SCHED_POLICY says. */
import nodeCluster = require('node:cluster');

const cluster = nodeCluster as unknown as nodeCluster.Cluster;
const [, , exec = '', count = '1'] = process.argv;

cluster.setupPrimary({ exec, args: [] });
for (let started = 0; started < Number(count); started += 1) cluster.fork();
process.on('disconnect', () => process.exit());
