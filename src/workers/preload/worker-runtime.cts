import nodeCluster = require('node:cluster');
import fs = require('node:fs');
import path = require('node:path');
import ControlServer = require('./control/server.cjs');
import WorkerExit = require('./drain/exit.cjs');
import Drain = require('./drain/drain.cjs');
import JobDrain = require('./drain/job-drain.cjs');
import Gate = require('./listen/gate.cjs');
import ConnectionHandoff = require('./drain/connection-handoff.cjs');
import keepSharedPaths = require('./listen/shared-path.cjs');
import lend = require('./host/send-listeners.cjs');
import removeFile = require('./remove-file.cjs');
import nodeOptions = require('./node-options.cjs');
import paths = require('./paths.cjs');
import ProcessEvents = require('./drain/process-events.cjs');
import appStart = require('./control/app-start.cjs');
import Reporter = require('./control/metrics.cjs');
import SelfCheck = require('./control/self-check.cjs');
import AnswerHeads = require('./control/answer-heads.cjs');
import TrafficCounter = require('./control/traffic.cjs');
import threadListen = require('./listen/thread-listen.cjs');
import Connections = require('./drain/connections.cjs');
import type {
	ControlAnswer,
	ControlCommand,
	ControlPush,
	PreloadSettings,
	WorkerStatus,
} from '../connection/control.js';

/** Node's own types describe the module as an ES module sees it. */
const cluster = nodeCluster as unknown as nodeCluster.Cluster;
const socketModeDefault = 0o600;
const drainTimeoutDefaultMs = 30_000;
const faultsMax = 10;
const threadPortsMax = 10;
const faultCharactersMax = 2_000;

/** All that the preload does in one worker, put together. */
class WorkerRuntime {
	readonly #settings: PreloadSettings;
	/** Only where its answers are compared. */
	readonly #traffic: TrafficCounter | null;
	readonly #connections: Connections;
	readonly #events = new ProcessEvents();
	readonly #faults: string[] = [];
	readonly #threadPorts = new Set<number>();
	readonly #gate: Gate;
	readonly #control: ControlServer;
	readonly #reporter: Reporter;
	readonly #drain: Drain | JobDrain;
	readonly #handoff: ConnectionHandoff;
	readonly #selfCheck: SelfCheck | null = null;
	/** It was told to join, which is no listener's matter where the app listens nowhere. */
	#joined = false;
	/** Of the app's start: its script has begun, and it has said that it is ready. */
	#started = false;
	#ready = false;

	constructor(settings: PreloadSettings) {
		this.#settings = settings;
		const { slowMs = 0 } = settings;
		this.#traffic = settings.countsTraffic === true ? new TrafficCounter(slowMs) : null;
		const heads = this.#traffic && slowMs > 0 ? new AnswerHeads(this.#traffic) : null;
		this.#connections = new Connections(this.#traffic, heads);
		// A worker that was proven with this release before joins without the control plane, which may be down.
		const approval = SelfCheck.readApproval(paths.approvalPath(settings.directory, settings.id));
		this.#gate = new Gate(settings, this.#connections, !settings.gate || approval === 'unchecked');
		if (approval !== null && approval !== 'unchecked') {
			this.#selfCheck = new SelfCheck(approval, { status: () => this.#status(), goLive: () => this.#goLive() });
		}
		const controlPath = paths.controlSocketPath(settings.directory, settings.id, process.pid);
		const self = { id: settings.id, pid: process.pid };
		this.#control = new ControlServer(controlPath, self, (command) => this.#answer(command));
		this.#reporter = new Reporter(settings.reportIntervalMs, (measures) => {
			const traffic = this.#traffic?.report();
			const report = traffic === undefined ? measures : { ...measures, traffic };
			this.#control.push({ event: 'report', report, status: this.#status() });
		});
		const workerExit = new WorkerExit(this.#control, this.#events);
		this.#handoff = new ConnectionHandoff(settings.id.replace(/-\d+$/, ''), {
			adopt: (key, handle, lingerMs) => this.#gate.adopt(key, handle, lingerMs),
			onMoved: () => requests.check(),
			release: (connection) => this.#connections.release(connection),
		});
		this.#gate.onLive = () => this.#handoff.announce(this.#gate.keys);
		const requests = new Drain(this.#gate, this.#connections, this.#handoff, (result) => void workerExit.leave(result));
		this.#drain = settings.listens === false ? new JobDrain(this.#gate, workerExit) : requests;
		this.#events.install({
			onStop: () => this.#stop(),
			onFault: (message) => this.#fault(message),
			onMessage: (message, handle) => this.#handoff.receive(message, handle),
			onDisconnect: () => workerExit.onDisconnect(),
			onExit: () => this.#removeSockets(),
		});
	}

	/** `preload` is the file that Node was told to load first. */
	begin(preload: string): void {
		const { directory, id, socketMode = socketModeDefault } = this.#settings;
		// Workers outlive the host: without this, Node ends them when it is gone.
		if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
		forgetArgument(preload);
		nodeOptions.forgetOurs(process.env, preload);
		removeLeftovers(directory, id);
		this.#gate.onListening = () => this.#sayNews();
		appStart.watch({
			onStarted: () => {
				this.#started = true;
				if (this.#settings.listens === false) this.#sayNews();
			},
			onReady: () => {
				if (this.#settings.listens === false && !this.#ready) {
					this.#ready = true;
					this.#sayNews();
				}
			},
		});
		this.#control.onAudience = (present) => (present ? this.#reporter.start() : this.#reporter.stop());
		// A fault at boot can be older than the first connection, and no one would hear of it until a deadline.
		this.#control.greeting = () => this.#firstFault();
		keepSharedPaths();
		threadListen.watch((port, message) => {
			if (this.#threadPorts.size < threadPortsMax) this.#threadPorts.add(port);
			this.#fault(message);
		});
		this.#gate.install();
		this.#control.listen(socketMode);
		void this.#selfCheck?.run();
	}

	#sayNews(): void {
		this.#control.push({ event: 'listening', status: this.#status() });
		this.#selfCheck?.onNews();
	}

	get #isLive(): boolean {
		return this.#settings.listens === false ? this.#joined : this.#gate.live;
	}

	#status(): WorkerStatus {
		return {
			id: this.#settings.id,
			pid: process.pid,
			state: this.#drain.draining ? 'draining' : this.#isLive ? 'live' : 'held',
			listens: this.#gate.status(),
			sockets: this.#connections.open.size,
			openRequests: this.#connections.openRequests,
			served: this.#connections.served,
			faults: [...this.#faults],
			threadPorts: [...this.#threadPorts],
			started: this.#started,
			ready: this.#ready,
		};
	}

	async #answer(command: ControlCommand): Promise<ControlAnswer> {
		const { seq } = command;
		try {
			switch (command.command) {
				case 'status':
					break;
				case 'live':
					await this.#goLive();
					break;
				case 'drain':
					this.#drain.start(command);
					break;
				case 'lend':
					await lend(command.path, this.#gate.lendable());
					break;
			}
			return { seq, ok: true, status: this.#status() };
		} catch (thrown) {
			const error = thrown as NodeJS.ErrnoException;
			return { seq, ok: false, error: error.message, code: error.code ?? null, status: this.#status() };
		}
	}

	async #goLive(): Promise<void> {
		if (this.#drain.draining) {
			throw Object.assign(new Error('the worker is leaving'), { code: 'ERR_SERVER_NOT_RUNNING' });
		}
		await this.#gate.goLive();
		this.#joined = true;
	}

	#stop(): void {
		this.#drain.start({ timeoutMs: this.#settings.drainTimeoutMs ?? drainTimeoutDefaultMs, handOver: true });
	}

	#fault(message: string): void {
		const text = message.slice(0, faultCharactersMax);
		// A storm of them would end the connection of a client that takes so much and no more.
		if (this.#faults.length >= faultsMax) return;
		this.#faults.push(text);
		this.#control.push({ event: 'fault', message: text, status: this.#status() });
	}

	#firstFault(): ControlPush | null {
		const [message] = this.#faults;
		return message === undefined ? null : { event: 'fault', message, status: this.#status() };
	}

	#removeSockets(): void {
		this.#gate.removeSockets();
		this.#control.removeSocket();
	}
}

/** Children and threads inherit this process's arguments; the preload does nothing in them, so they need not load it. */
function forgetArgument(preload: string): void {
	const same = (name: string | undefined): boolean => name !== undefined && path.resolve(name) === preload;
	const { execArgv } = process;
	for (let index = execArgv.length - 1; index >= 0; index--) {
		const [flag, value] = execArgv[index]?.split('=', 2) ?? [];
		if (flag !== '--require' && flag !== '-r') continue;
		if (same(value)) execArgv.splice(index, 1);
		else if (value === undefined && same(execArgv[index + 1])) execArgv.splice(index, 2);
	}
}

/** Sockets of earlier processes of this worker, which had no chance to remove them. */
function removeLeftovers(directory: string, id: string): void {
	const leftover = new RegExp(`^${id.replace(/[^\w-]/g, '\\$&')}\\.(\\d+)\\.(ctl|\\d+\\.sock)$`);
	try {
		for (const name of fs.readdirSync(directory)) {
			const pid = leftover.exec(name)?.[1];
			if (pid !== undefined && !fs.existsSync(`/proc/${pid}`)) removeFile(path.join(directory, name));
		}
	} catch {
		// An unreadable folder is reported when the control socket is opened in it.
	}
}

export = WorkerRuntime;
