import type { Cluster, Worker } from 'node:cluster';
import type { TcpHandle } from '../node-internals.cjs';
import type { HostMessage, WorkerMessage } from './handoff-messages.cjs';

interface Member {
	app: string;
	keys: string[];
}

/** In the host: gives the idle connections of workers that leave to siblings of the same app that stay. */
class HandoffRelay {
	readonly #members = new Map<Worker, Member>();
	#turn = 0;

	install(cluster: Cluster): void {
		cluster.on('fork', (worker) => this.#listenTo(worker));
		cluster.on('exit', (worker) => this.#members.delete(worker));
		cluster.on('disconnect', (worker) => this.#members.delete(worker));
	}

	/** Before everybody else, and without passing it on: PM2 would publish each of these messages on its bus. */
	#listenTo(worker: Worker): void {
		const relay = this;
		const { emit } = worker;
		worker.emit = function (this: Worker, event: string, ...values: unknown[]): boolean {
			if (event === 'message' && isOurs(values[0])) {
				relay.#receive(worker, values[0], values[1] as TcpHandle | undefined);
				return true;
			}
			return Reflect.apply(emit, this, [event, ...values]) as boolean;
		} as typeof worker.emit;
	}

	#receive(worker: Worker, message: WorkerMessage, handle: TcpHandle | undefined): void {
		switch (message.rollcall) {
			case 'joined':
				this.#members.set(worker, { app: message.app, keys: message.keys });
				break;
			case 'leaving': {
				this.#members.delete(worker);
				const members = [...this.#members.values()].filter((member) => member.app === message.app);
				this.#send(worker, { rollcall: 'siblings', keys: [...new Set(members.flatMap((member) => member.keys))] });
				break;
			}
			case 'adopt':
				if (handle) this.#pass(worker, message, handle);
				break;
			default:
				message satisfies never;
		}
	}

	/** One sibling after the other gets a connection; a sibling that turns out to be gone is passed over. */
	#pass(from: Worker, message: Extract<WorkerMessage, { rollcall: 'adopt' }>, handle: TcpHandle): void {
		const { app, key, lingerMs, ticket } = message;
		const siblings = [...this.#members].filter(([, member]) => member.app === app && member.keys.includes(key));
		const sibling = siblings[this.#turn++ % Math.max(1, siblings.length)]?.[0];
		if (sibling === undefined) {
			this.#send(from, { rollcall: 'returned', key, lingerMs, ticket }, handle, () => handle.close());
			return;
		}
		this.#send(sibling, { rollcall: 'adopted', key, lingerMs }, handle, (failed) => {
			if (failed) {
				this.#members.delete(sibling);
				this.#pass(from, message, handle);
				return;
			}
			handle.close();
			this.#send(from, { rollcall: 'moved', ticket });
		});
	}

	#send(worker: Worker, message: HostMessage, handle?: TcpHandle, callback?: (failed: boolean) => void): void {
		if (!worker.isConnected()) {
			callback?.(true);
			return;
		}
		// A native handle is what Node's own cluster sends; its types know of sockets and servers alone.
		const send = worker.process.send as unknown as (...values: unknown[]) => unknown;
		Reflect.apply(send, worker.process, [message, handle, {}, (error: Error | null) => callback?.(error !== null)]);
	}
}

function isOurs(message: unknown): message is WorkerMessage {
	return typeof message === 'object' && message !== null && 'rollcall' in message;
}

export = HandoffRelay;
