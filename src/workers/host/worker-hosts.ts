import type { Logger } from '../../log.js';
import { isAlive } from '../../system/proc/process.js';
import type { Clock } from '../clock.js';
import { findHost, hostHome } from '../pm2/home.js';
import type { Orphan } from '../pm2/orphans.js';
import type { Pm2Process } from '../pm2/process.js';
import type { WorkerRecord } from '../pool/worker-records.js';
import { HostLink } from './host-connection.js';
import { hostCommand } from './host-starter.js';
import type { LogLimits } from './log-files.js';

/** Longest wait of a start for a worker host; afterwards the start continues when the host connects. */
const hostPatienceMs = 15_000;

export interface WorkerHostsParts {
	workerDir: string;
	mode: 'systemd' | 'own';
	logLimits: LogLimits;
	/** Runs a worker host, in place of this program's own command. */
	hostCommand?: readonly string[];
	clock: Clock;
	log: Logger;
	/** Listens to a host that is known from now on, before it is started. */
	follow(host: HostLink): void;
	/** A host is connected; resolves when every app of it had its first chance. */
	welcome(host: HostLink, rows: readonly Pm2Process[], orphans: readonly Orphan[]): Promise<void>;
}

/** The worker hosts of a node: one for each user that has apps here, or had. */
export class WorkerHosts {
	private readonly links = new Map<string | null, HostLink>();
	/** Those that, by the record, have workers of apps that are not configured. */
	private readonly strays = new Set<HostLink>();
	private strayPatienceUntil = 0;

	constructor(private readonly parts: WorkerHostsParts) {}

	get all(): HostLink[] {
		return [...this.links.values()];
	}

	known(user: string | null): HostLink | undefined {
		return this.links.get(user);
	}

	/** Makes it known if it is not; nothing is started. */
	of(user: string | null): HostLink {
		const known = this.links.get(user);
		if (known) return known;
		const { workerDir, mode, logLimits, clock, log } = this.parts;
		const command = this.parts.hostCommand ?? hostCommand({ workerDir, logs: logLimits });
		const home = hostHome(workerDir, user);
		const host = new HostLink({ user, home, command: mode === 'systemd' ? null : command, clock, log });
		this.parts.follow(host);
		this.links.set(user, host);
		return host;
	}

	/** Resolves when every app of the host had its first chance, or the host had its time to come. */
	start(host: HostLink): Promise<void> {
		return new Promise((resolve) => {
			host.on('up', (rows, orphans) => void this.parts.welcome(host, rows, orphans).then(resolve));
			void host.start();
			this.parts.clock.after(hostPatienceMs, () => {
				if (!host.isUp) resolve();
			});
		});
	}

	/** A node that had no app yet has no host, the first that it gets brings one along; one that just died is on its way. */
	async reach(users: ReadonlySet<string | null>): Promise<void> {
		const reach = (user: string | null) => this.links.get(user)?.untilUp(hostPatienceMs) ?? this.start(this.of(user));
		await Promise.all([...users].map(reach));
	}

	/** Without any app no host is wanted, but one that still runs may hold workers of apps that were taken out, or have left some behind. */
	async findIdle(recorded: readonly WorkerRecord[], isConfigured: (app: string) => boolean): Promise<void> {
		const { clock, mode, workerDir } = this.parts;
		this.strayPatienceUntil = clock.now() + hostPatienceMs;
		for (const { user, app, ...worker } of recorded) {
			if (!isAlive(worker) || (user !== null && mode !== 'systemd')) continue;
			const host = this.of(user);
			if (!isConfigured(app)) this.strays.add(host);
		}
		if (this.links.size > 0 || mode === 'systemd') return;
		if ((await findHost(hostHome(workerDir, null))) !== null) this.of(null);
	}

	/** An app that is new here starts with more care beside workers that are to leave, whichever host has them. */
	async untilStraysAreKnown(): Promise<void> {
		const withinMs = this.strayPatienceUntil - this.parts.clock.now();
		await Promise.all([...this.strays].map((host) => host.untilUp(withinMs)));
	}
}
