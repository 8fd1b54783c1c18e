import { createPrivateKey, type X509Certificate } from 'node:crypto';
import {
	assertBelongTogether,
	dayOf,
	readCertificates,
	validityOf,
	warningDays,
} from '../../../config/checks/certificates.js';
import type { LoadedConfig } from '../../../config/load.js';
import { messageOf } from '../../../errors.js';
import { type Check, type Finding, type Host, ok, unseen, withConfig, wrong, warning } from '../types.js';

const dayMs = 24 * 60 * 60 * 1000;

/** Checks the dates of a file's first certificate. */
function datesOf(host: Host, file: string, now: number, renew: string): Finding {
	const certificate = firstIn(host, file);
	if (typeof certificate === 'string') return unseen(certificate);
	const { from, to } = validityOf(certificate);
	if (now >= to) return wrong(`${file} expired on ${dayOf(to)}`, renew);
	if (now < from) return wrong(`${file} begins on ${dayOf(from)}: is the clock of this host right?`, 'timedatectl');
	const days = Math.floor((to - now) / dayMs);
	const text = `${file} is valid until ${dayOf(to)}, ${days} days from now`;
	return days < warningDays ? warning(text, renew) : ok(text);
}

function firstIn(host: Host, file: string): X509Certificate | string {
	const text = host.readText(file);
	if (text === null) return `${file} cannot be read by this user`;
	try {
		return readCertificates(text)[0] ?? `${file} holds no certificate in PEM`;
	} catch (error) {
		return `${file} holds a certificate that cannot be read: ${messageOf(error)}`;
	}
}

const renewal = (node: string): string =>
	`rollcall ca issue ${node} --dir fleet-ca --force   # at home; then bring the files here: rollcall restart_service service=clustering_config`;

const clusterDates = withConfig(({ node, cluster }, { host, now }) =>
	cluster?.tls === undefined ? [] : [datesOf(host, cluster.tls.cert, now, renewal(node.name))],
);

const authorityDates = withConfig(({ cluster }, { host, now }) =>
	cluster?.tls === undefined
		? []
		: [
				datesOf(
					host,
					cluster.tls.ca,
					now,
					'rollcall ca rotate --dir fleet-ca --begin   # at home, as rollcall help certificates says',
				),
			],
);

const httpDates = withConfig(({ operations_api: { http } }, { host, now }) =>
	http?.tls === undefined
		? []
		: [
				datesOf(
					host,
					http.tls.cert,
					now,
					`systemctl reload rollcall   # once a new certificate lies at ${http.tls.cert}`,
				),
			],
);

/** Name, key and authority, as the daemon judges them. */
const clusterFit = withConfig((config, { host }) => {
	const tls = config.cluster?.tls;
	if (tls === undefined) return [];
	const [ca, cert, key] = [tls.ca, tls.cert, tls.key].map((file) => host.readText(file));
	if (typeof ca !== 'string' || typeof cert !== 'string' || typeof key !== 'string') {
		return [unseen('this user may not read the certificate, its key or its authority')];
	}
	try {
		assertBelongTogether(config.node.name, { ca, cert, key });
		return [ok(`certificate, key and authority of ${config.node.name} belong together`)];
	} catch (error) {
		return [wrong(messageOf(error), renewal(config.node.name))];
	}
});

const httpKey = withConfig(({ operations_api: { http } }, { host }) => {
	if (http?.tls === undefined) return [];
	const certificate = firstIn(host, http.tls.cert);
	const key = host.readText(http.tls.key);
	if (typeof certificate === 'string') return [unseen(certificate)];
	if (key === null) return [unseen(`this user may not read ${http.tls.key}`)];
	if (isKeyOf(certificate, key)) return [ok('the key of operations_api.http.tls is that of its certificate')];
	const text = `${http.tls.key} is not the key of ${http.tls.cert}`;
	return [wrong(text, `openssl x509 -noout -pubkey -in ${http.tls.cert}; openssl pkey -pubout -in ${http.tls.key}`)];
});

function isKeyOf(certificate: X509Certificate, key: string): boolean {
	try {
		return certificate.checkPrivateKey(createPrivateKey(key));
	} catch {
		return false;
	}
}

/** A secret is fine on loopback alone; the schema refuses it elsewhere. */
const plainFleet = withConfig(({ cluster }: LoadedConfig) => {
	if (cluster === undefined) return [];
	if (cluster.tls !== undefined) return [ok('the links between nodes are mutual TLS')];
	return [
		warning('the links between nodes are in the clear, which fits one host alone', 'rollcall ca init --dir fleet-ca'),
	];
});

export const certificateChecks: readonly Check[] = [
	{ name: 'certificate-dates', look: clusterDates },
	{ name: 'certificate-fit', look: clusterFit },
	{ name: 'authority-dates', look: authorityDates },
	{ name: 'http-certificate-dates', look: httpDates },
	{ name: 'http-certificate-key', look: httpKey },
	{ name: 'link-encryption', look: plainFleet },
];
