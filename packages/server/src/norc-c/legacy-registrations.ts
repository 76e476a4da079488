import { type Clock, type DeviceId, ok, type Result, reject, sameBytes } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import { type LegacyDeviceRecord, legacyRegisterAnswer, receiveLegacyMessage } from '@norc/protocol/handshake';

const RECORDS_MAX = 1_000;
const PER_ADDRESS_MAX = 20;

/**
 * What the seed prototype's client registers (spec/handshake section 9). Such a device
 * has no certificate and can do nothing else, so its record is a courtesy: it lives in
 * memory, bounded, and never becomes a device of the directory.
 */
export class LegacyRegistrations {
  readonly #crypto: Crypto;
  readonly #clock: Clock;
  readonly #records = new Map<DeviceId, LegacyDeviceRecord>();
  readonly #perAddress = new Map<string, number>();

  constructor(crypto: Crypto, clock: Clock) {
    this.#crypto = crypto;
    this.#clock = clock;
  }

  /** The text to answer with. Errors: hybrid_required for anything but device_register; rate_limited; those of parsing. */
  async receive(message: string | Uint8Array, address: string): Promise<Result<string>> {
    const request = receiveLegacyMessage(this.#crypto, message);
    if (!request.ok) return request;
    if (request.value.kind === 'invalid_key') return ok(request.value.answer);
    const { deviceId, publicKey, info } = request.value;
    const known = this.#records.get(deviceId);
    if (known !== undefined)
      return ok(
        legacyRegisterAnswer('already_registered', sameBytes(known.publicKey, publicKey) ? known : withoutInfo(known)),
      );
    const count = (this.#perAddress.get(address) ?? 0) + 1;
    if (count > PER_ADDRESS_MAX || this.#records.size >= RECORDS_MAX) return reject('rate_limited', 'registrations');
    const firstRegisteredSeconds = Math.floor(this.#clock.now() / 1000);
    const record: LegacyDeviceRecord = {
      deviceId,
      publicKey,
      firstRegisteredSeconds,
      ...(info === undefined ? {} : { info }),
    };
    this.#perAddress.set(address, count);
    this.#records.set(deviceId, record);
    return ok(legacyRegisterAnswer('registered', record));
  }
}

/** Somebody who comes with another key for the same id learns that it is taken, and nothing about the device. */
function withoutInfo({ deviceId, publicKey, firstRegisteredSeconds }: LegacyDeviceRecord): LegacyDeviceRecord {
  return { deviceId, publicKey, firstRegisteredSeconds };
}
