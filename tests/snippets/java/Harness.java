import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

public final class Harness {
    private static final String[] NAMES = {"webhook-id", "webhook-timestamp", "webhook-signature"};

    private static byte[] bytes(String field) {
        return Base64.getDecoder().decode(field);
    }

    private static String text(String field) {
        return new String(bytes(field), StandardCharsets.ISO_8859_1);
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split(":", -1);
            Map<String, List<String>> headers = new HashMap<>();
            for (int index = 0; index < NAMES.length; index++) {
                String value = fields[index + 1];
                if (!value.equals("-")) headers.put(NAMES[index], List.of(text(value)));
            }
            Map<String, String> first = new HashMap<>();
            headers.forEach((name, values) -> first.put(name, values.get(0)));
            try {
                Webhooks.verify(text(fields[0]), HEADERS, bytes(fields[4]));
                System.out.println("accepted");
            } catch (Exception error) {
                System.out.println("refused " + error.getClass().getSimpleName());
            }
        }
    }
}
