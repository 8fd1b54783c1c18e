import net = require('node:net');
import threads = require('node:worker_threads');
import readListenRequest = require('./listen-request.cjs');

const name = 'rollcall.thread-listen';
const code = 'ERR_ROLLCALL_THREAD_LISTEN';

/**
 * Node's cluster reaches the main thread alone: a server in a worker thread would be public before it is proven, and its
 * port could be shared neither with the other workers nor with the next release. So it is refused, with the reason. Port 0
 * and unix sockets are left alone: they are how an app talks with itself.
 */
const threadListen = {
	/** Main thread: exchanges listen messages with the threads of this process. */
	watch(onRefused: (port: number, message: string) => void): void {
		threads.setEnvironmentData(name, true);
		const channel = new threads.BroadcastChannel(name);
		channel.onmessage = (event: unknown) => {
			const port = Number((event as { data: unknown }).data);
			onRefused(port, reasonFor(port));
		};
		channel.unref();
	},

	/** For every other thread; it does nothing outside of a worker. */
	refuse(): void {
		if (threads.getEnvironmentData(name) !== true) return;
		const { listen } = net.Server.prototype;
		net.Server.prototype.listen = function (this: net.Server, ...values: unknown[]): net.Server {
			const port = readListenRequest(values)?.port ?? 0;
			if (port === 0) return Reflect.apply(listen, this, values) as net.Server;
			tellMain(port);
			const error = Object.assign(new Error(reasonFor(port)), { code });
			process.nextTick(() => this.emit('error', error));
			return this;
		} as typeof net.Server.prototype.listen;
	},
};

const reasonFor = (port: number): string =>
	`a worker thread called listen() on port ${port}, where it can be neither proven nor shared: listen in the main thread, and give threads the work alone`;

function tellMain(port: number): void {
	const channel = new threads.BroadcastChannel(name);
	channel.postMessage(port);
	channel.close();
}

export = threadListen;
