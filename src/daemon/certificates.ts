import { readFileSync } from 'node:fs';
import {
	type CertificateInUse,
	type CertificateNote,
	certificateNotes,
	firstExpiry,
	type TlsMaterial,
} from '../config/checks/certificates.js';
import type { Config } from '../config/schema.js';
import type { Logger } from '../log.js';

const dayMs = 24 * 60 * 60 * 1000;

type Settings = Pick<Config, 'node' | 'operations_api'>;
type ClusterFiles = NonNullable<NonNullable<Config['cluster']>['tls']>;

/**
 * Watches the dates of the certificates that this node presents. What counts is what is in use: a file that was renewed
 * but not taken up yet has not helped.
 */
export class Certificates {
	#ofCluster: CertificateInUse[] = [];
	#ofHttp: CertificateInUse[];
	readonly #timer: NodeJS.Timeout;

	constructor(
		private readonly settings: Settings,
		private readonly logger: Logger,
		private readonly now: () => number = Date.now,
	) {
		this.#ofHttp = httpInUse(settings);
		this.#timer = setInterval(() => this.#tell(), dayMs).unref();
	}

	/** The fleet presents these from now on; null without TLS. */
	clusterUses(files: ClusterFiles | null, material: TlsMaterial | null): void {
		this.#ofCluster = files && material ? clusterInUse(this.settings.node.name, files, material) : [];
		this.#tell();
	}

	/** HTTP presents this one from now on, in PEM. */
	httpUses(pem: string): void {
		const { http } = this.settings.operations_api;
		if (!http?.tls) return;
		this.#ofHttp = inUse('operations_api.http.tls.cert', http.tls.cert, pem, remedyOfHttp);
		this.#tell();
	}

	/** One sentence for each certificate that has expired or is about to. */
	notes(): string[] {
		return this.#look().map(({ text }) => text);
	}

	inUse(): CertificateInUse[] {
		return [...this.#ofCluster, ...this.#ofHttp];
	}

	close(): void {
		clearInterval(this.#timer);
	}

	#look(): CertificateNote[] {
		return certificateNotes(this.inUse(), this.now());
	}

	#tell(): void {
		for (const { key, file, expiresAt, days, text } of this.#look()) {
			const expired = expiresAt <= this.now();
			this.logger[expired ? 'error' : 'warn'](
				{ event: expired ? 'certificate_expired' : 'certificate_expires', key, file, expires_at: expiresAt, days },
				text,
			);
		}
	}
}

function clusterInUse(node: string, files: ClusterFiles, { cert, ca }: TlsMaterial): CertificateInUse[] {
	const takeUp = 'then run: rollcall restart_service service=clustering_config';
	const issue = `put a new one there (rollcall ca issue ${node}), ${takeUp}`;
	const renew =
		'change to a new authority, which takes three steps: rollcall ca rotate at home (rollcall help certificates)';
	return [...inUse('cluster.tls.cert', files.cert, cert, issue), ...inUse('cluster.tls.ca', files.ca, ca, renew)];
}

const remedyOfHttp = 'put a new one there, then run: rollcall restart_service service=clustering_config';

/** The server reads the same file at the same start, and says so if it cannot. */
function httpInUse({ operations_api: { http } }: Settings): CertificateInUse[] {
	if (!http?.tls) return [];
	let pem: string;
	try {
		pem = readFileSync(http.tls.cert, 'utf8');
	} catch {
		return [];
	}
	return inUse('operations_api.http.tls.cert', http.tls.cert, pem, remedyOfHttp);
}

function inUse(key: string, file: string, pem: string, remedy: string): CertificateInUse[] {
	const expiresAt = firstExpiry(pem);
	return expiresAt === null ? [] : [{ key, file, expiresAt, remedy }];
}
