/**
 * Runs inside every Node worker before the app, by `node --require`. In its worker threads it refuses to listen; in children
 * that an app starts with the same arguments it is inert.
 */
import threads = require('node:worker_threads');
import takeSettings = require('./control/settings.cjs');

if (!threads.isMainThread)
	(require('./listen/thread-listen.cjs') as typeof import('./listen/thread-listen.cjs')).refuse();

const settings = threads.isMainThread ? takeSettings(process.env) : null;
if (settings !== null) {
	const cluster = require('node:cluster') as unknown as import('node:cluster').Cluster;
	if (cluster.isWorker) {
		const WorkerRuntime = require('./worker-runtime.cjs') as typeof import('./worker-runtime.cjs');
		new WorkerRuntime(settings).begin(__filename);
	}
}
