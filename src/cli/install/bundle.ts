import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { authorityOf } from '../../config/checks/authorities.js';
import {
	assertBelongTogether,
	dayOf,
	nameInCertificate,
	readCertificates,
	validityOf,
} from '../../config/checks/certificates.js';
import { controlUser } from '../../config/checks/system-users.js';
import { loadConfig } from '../../config/load.js';
import { defaultTlsFiles } from '../../config/publish/template.js';
import { messageOf, RollcallError } from '../../errors.js';
import type { Bundle } from '../fleet/bundle.js';
import { copyAside, file, folder, noted, type Step } from './steps.js';

/** A bundle, and what a host takes of it. */
export interface InstalledBundle extends Bundle {
	/** Where it goes. */
	folder: string;
	/** The host has a configuration that differs, which makes way. */
	replacesConfiguration: boolean;
	/** The host has a certificate that is newer, which stays. */
	keepsCertificate: boolean;
	/** What the operator should know, a sentence each. */
	remarks: string[];
}

const configName = 'rollcall.yaml';

/**
 * What this host takes of a bundle, by what its folder holds. Throws `invalid`, before anything is written, where another
 * node, another fleet or a host that runs alone is configured there.
 */
export function forThisHost(bundle: Bundle, place: string, mayReplace: boolean): InstalledBundle {
	const path = join(place, configName);
	refuseOtherConfiguration(bundle, place, path);
	const present = readTls(place);
	refuseOtherFleet(bundle, present, place);
	const differs = existsSync(path) && readFileSync(path, 'utf8') !== bundle.text;
	const newer = newerCertificate(bundle, present);
	const remarks: string[] = [];
	if (differs && !mayReplace) {
		const remedy = `--force puts the bundle's in its place and keeps it as ${configName}.old`;
		remarks.push(`${path} is not the one of the bundle and stays as it is; ${remedy}.`);
	}
	if (newer !== null) {
		remarks.push(`The certificate of this host, of ${dayOf(newer)}, is newer than the bundle's and stays.`);
	}
	return {
		...bundle,
		folder: place,
		replacesConfiguration: differs && mayReplace,
		keepsCertificate: newer !== null,
		remarks,
	};
}

/** `tls` notes whether a certificate was changed. */
export function bundleSteps(bundle: InstalledBundle, tls: { changed: boolean }): Step[] {
	const path = join(bundle.folder, configName);
	const config = { mode: 0o640, group: controlUser };
	const hasOwn = existsSync(path) && !bundle.replacesConfiguration;
	const files = [
		file(join(bundle.folder, defaultTlsFiles.ca), bundle.tls.ca, { mode: 0o644 }),
		file(join(bundle.folder, defaultTlsFiles.cert), bundle.tls.cert, { mode: 0o644 }),
		file(join(bundle.folder, defaultTlsFiles.key), bundle.tls.key, { mode: 0o640, group: controlUser }),
	];
	return [
		folder(join(bundle.folder, 'tls'), { mode: 0o755 }),
		...(bundle.keepsCertificate ? [] : noted(files, tls)),
		...(bundle.replacesConfiguration ? [copyAside(path, `${path}.old`)] : []),
		...(hasOwn ? [] : [file(path, bundle.text, config)]),
	];
}

function refuseOtherConfiguration({ node }: Bundle, place: string, path: string): void {
	if (!existsSync(path)) return;
	const way = `If this host is to become ${node}: rollcall uninstall --purge, or mv ${place} ${place}.old, and the same again`;
	let config: ReturnType<typeof loadConfig>;
	try {
		config = loadConfig({ file: path, env: {}, underSystemd: true, secretFiles: 'ignored' });
	} catch (error) {
		const text = `This host has a configuration that cannot be compared with the bundle: ${messageOf(error)}`;
		throw new RollcallError('invalid', `${text}\n${way}.`, {}, { cause: error });
	}
	if (config.node.name !== node) {
		throw new RollcallError('invalid', `This host is ${config.node.name}, and the bundle is of ${node}. ${way}.`);
	}
	const used = config.cluster?.tls;
	if (used === undefined) {
		const how = config.cluster === undefined ? 'runs alone' : 'is in a fleet with a shared secret';
		throw new RollcallError('invalid', `By ${path} this host ${how}, and the bundle is of a fleet. ${way}.`);
	}
	for (const name of ['ca', 'cert', 'key'] as const) {
		const expected = join(place, defaultTlsFiles[name]);
		if (used[name] === expected) continue;
		const text = `cluster.tls.${name} in ${path} is ${used[name]}, and the bundle's goes to ${expected}`;
		throw new RollcallError('invalid', `${text}: name that file there, or copy it by hand.`);
	}
}

/** The texts of the files that are there. */
function readTls(place: string): Partial<Bundle['tls']> {
	const read = (name: keyof Bundle['tls']): [string, string][] => {
		const path = join(place, defaultTlsFiles[name]);
		return statSync(path, { throwIfNoEntry: false })?.isFile() ? [[name, readFileSync(path, 'utf8')]] : [];
	};
	return Object.fromEntries([...read('ca'), ...read('cert'), ...read('key')]);
}

/** The folder of certificates is another fleet's where no authority of it is one of the bundle's. */
function refuseOtherFleet({ node, tls }: Bundle, present: Partial<Bundle['tls']>, place: string): void {
	const authorities = authorityNames(tls.ca);
	const found = authorityNames(present.ca ?? '');
	const path = join(place, defaultTlsFiles.ca);
	if (found.size > 0 && ![...found.keys()].some((key) => authorities.has(key))) {
		const [theirs, own] = [found, authorities].map((all) => [...all.values()].join(', '));
		const text = `${path} is of another fleet (${theirs}) than the bundle (${own})`;
		throw new RollcallError('invalid', `${text}. If this host is to change over: mv ${place} ${place}.old`);
	}
	const name = nameOf(present.cert ?? '');
	if (name === null || name === node) return;
	const text = `${join(place, defaultTlsFiles.cert)} is of ${name}, and the bundle of ${node}`;
	throw new RollcallError('invalid', `${text}. If this host is to become ${node}: mv ${place} ${place}.old`);
}

/** Names of the authorities in a PEM text, by their ids. */
function authorityNames(pem: string): Map<string, string> {
	return new Map(
		certificatesIn(pem).map((certificate) => {
			const { id, name } = authorityOf(certificate);
			return [id, name];
		}),
	);
}

const nameOf = (pem: string): string | null => {
	const [own] = certificatesIn(pem);
	return own ? nameInCertificate(own.toLegacyObject()) : null;
};

/** None where it is damaged: what cannot be read is no reason to keep it. */
function certificatesIn(pem: string): ReturnType<typeof readCertificates> {
	try {
		return readCertificates(pem);
	} catch {
		return [];
	}
}

/** When the host's certificate began, if that is after the bundle's and a node could run with it; else null. */
function newerCertificate({ node, tls }: Bundle, { ca, cert, key }: Partial<Bundle['tls']>): number | null {
	if (ca === undefined || cert === undefined || key === undefined) return null;
	try {
		assertBelongTogether(node, { ca, cert, key });
	} catch {
		return null;
	}
	const [own, other] = [cert, tls.cert].map((pem) => certificatesIn(pem)[0]);
	if (own === undefined || other === undefined) return null;
	const began = validityOf(own).from;
	return began > validityOf(other).from ? began : null;
}
